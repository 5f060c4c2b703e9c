--- Keeps a backend from taking a worker's memory or time with what the HTTP client reads from it.
--
-- The client asks its socket for whole lines (status, headers, sizes of chunks, trailers), however long they become and
-- as many as the backend sends. And while a socket always has data, no other request has its turn.
local bounded_line = require("apisix.plugins.azure-openai.base.bounded_line")

local ngx = ngx
local ngx_now = ngx.now
local ngx_sleep = ngx.sleep
local math_max = math.max
local string_find = string.find

-- Azure's longest headers have some 2 KiB, its largest heads some 5 KiB in 50 lines.
local LONGEST_LINE_BYTES = 16 * 1024
local LARGEST_HEAD_BYTES = 64 * 1024
local MOST_HEAD_LINES = 256

-- How much is read in a row before other requests have their turn, for a millisecond: nginx has no shorter one. A read
-- costs at least as much as so many bytes.
local TURN_BYTES = 256 * 1024
local LEAST_BYTES = 1024
local PAUSE_SECONDS = 0.001

local _M = {}

local function read_line(sock, heard)
    local line, err, partial = bounded_line.read(sock, LONGEST_LINE_BYTES)
    heard.anything = heard.anything or line ~= nil or (partial or "") ~= ""
    if line and string_find(line, "^%s*%-") then
        -- The client would take "-5" for the size of a chunk, and read on for ever.
        return nil, "a line that begins with a minus"
    end
    return line, err
end

-- Replaces `receive` of the socket. Lines with nothing else between them count as one head.
local function bound_lines(sock, heard)
    local receive = sock.receive
    local lines, bytes = 0, 0

    function sock.receive(self, what)
        if what ~= "*l" then
            lines, bytes = 0, 0
            return receive(self, what)
        end

        local line, err = read_line(self, heard)
        if not line then
            return nil, err
        end
        lines, bytes = lines + 1, bytes + #line
        if lines > MOST_HEAD_LINES or bytes > LARGEST_HEAD_BYTES then
            return nil,
                "a head of more than " .. MOST_HEAD_LINES .. " lines or " .. LARGEST_HEAD_BYTES .. " bytes"
        end
        return line
    end
end

-- Replaces both ways to read. They share one count.
local function take_turns(sock)
    local turn, bytes = 0, 0

    local function taking_turns(read)
        return function(self, what)
            local data, err, partial = read(self, what)
            -- Its time changes only when nginx has looked after the other requests.
            local now = ngx_now()
            if now ~= turn then
                turn, bytes = now, 0
            end
            bytes = bytes + math_max(#(data or ""), LEAST_BYTES)
            if bytes > TURN_BYTES then
                ngx_sleep(PAUSE_SECONDS)
            end
            return data, err, partial
        end
    end

    sock.receive, sock.receiveany = taking_turns(sock.receive), taking_turns(sock.receiveany)
end

--- Guards a connected socket.
-- @param sock table cosocket; `receive` and `receiveany` are replaced in it
-- @return table { anything = whether a byte of an answer has come }
function _M.guard(sock)
    local heard = {}
    bound_lines(sock, heard)
    take_turns(sock)
    return heard
end

return _M
