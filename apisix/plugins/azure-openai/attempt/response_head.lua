--- The head of an HTTP/1.1 response: status and headers (RFC 9112, sections 4 and 5).
--
-- A backend may send a head byte by byte, or one that never ends; it is read in whole pieces, and bounded.
local memo = require("apisix.plugins.azure-openai.base.memo")

local ngx_now = ngx.now
local ipairs = ipairs
local type = type
local tonumber = tonumber
local string_byte = string.byte
local string_find = string.find
local string_sub = string.sub

local READ_BYTES = 16 * 1024
-- Azure's largest heads have some 5 KiB in 50 lines. Interim responses count with the one that they come before.
local LARGEST_BYTES = 64 * 1024
local MOST_LINES = 256

local TAB, LINE_FEED, RETURN, SPACE = 9, 10, 13, 32
local SWITCHING_PROTOCOLS = 101
local MALFORMED = "a malformed head"

local _M = {}

-- The name in lower case, or false (RFC 9110, section 5.6.2).
local name_of = memo.of(function(raw)
    return string_find(raw, "^[%w!#$%%&'*+.^_`|~-]+$") and raw:lower() or false
end)

-- Position behind the empty line; nil when it has not come.
local function end_of_head(text, from)
    local line_end = string_find(text, "\n", from, true)
    while line_end do
        local next_byte = string_byte(text, line_end + 1)
        if next_byte == LINE_FEED then
            return line_end + 2
        end
        if next_byte == RETURN and string_byte(text, line_end + 2) == LINE_FEED then
            return line_end + 3
        end
        line_end = string_find(text, "\n", line_end + 1, true)
    end
    return nil
end

-- The text between two positions, without the blanks around it.
local function trimmed(text, first, last)
    local byte = string_byte(text, first)
    while first <= last and (byte == SPACE or byte == TAB) do
        first = first + 1
        byte = string_byte(text, first)
    end
    byte = string_byte(text, last)
    while last >= first and (byte == SPACE or byte == TAB or byte == RETURN) do
        last = last - 1
        byte = string_byte(text, last)
    end
    return string_sub(text, first, last)
end

-- "HTTP/1.1 200 OK" -> 200, 1.1
local function read_status(text)
    local version, status = string_sub(text, 1, 8), string_sub(text, 10, 12)
    local after = string_byte(text, 13)
    local is_plain = string_byte(text, 9) == SPACE
        and (after == SPACE or after == RETURN or after == LINE_FEED)
        and string_find(status, "^[1-9]%d%d$")
    if not is_plain or (version ~= "HTTP/1.1" and version ~= "HTTP/1.0") then
        return nil
    end
    return tonumber(status), version == "HTTP/1.1"
end

local function add(headers, name, value)
    local held = headers[name]
    if held == nil then
        headers[name] = value
    elseif type(held) == "table" then
        held[#held + 1] = value
    else
        headers[name] = { held, value }
    end
end

-- The lines from a position to the empty one. Nil when one of them is no header.
local function read_headers(text, from, stop)
    local headers, count = {}, 0
    while true do
        local line_end = string_find(text, "\n", from, true)
        if line_end == stop - 1 then
            return headers
        end
        local colon = string_find(text, ":", from, true)
        local name = colon and colon < line_end and name_of(string_sub(text, from, colon - 1))
        count = count + 1
        if not name or count > MOST_LINES then
            return nil
        end
        add(headers, name, trimmed(text, colon + 1, line_end - 1))
        from = line_end + 1
    end
end

-- "Keep-Alive, X" -> ",keep-alive,x,"
local options_of = memo.of(function(line)
    return "," .. line:lower():gsub("%s", "") .. ","
end)

local function has_option(value, option)
    for _, line in ipairs(type(value) == "table" and value or { value }) do
        if string_find(options_of(line), option, 1, true) then
            return true
        end
    end
    return false
end

-- Whether the server keeps the connection when the body is over.
local function is_kept(value, is_current)
    if value == nil then
        return is_current
    end
    return not has_option(value, ",close,") and (is_current or has_option(value, ",keep-alive,"))
end

local function parse(text, stop)
    local status, is_current = read_status(text)
    if not status then
        return nil
    end
    local headers = read_headers(text, string_find(text, "\n", 1, true) + 1, stop)
    return headers
        and { status = status, headers = headers, is_kept = is_kept(headers["connection"], is_current) }
end

-- Reads one head. Returns it, and its size; or nil and an error.
local function read_one(connection, most_bytes)
    local text, searched, deadline = "", 1, nil
    while true do
        local piece, err = connection:receiveany(READ_BYTES)
        if not piece then
            return nil, err
        end
        text = text .. piece
        local stop = end_of_head(text, searched)
        if (stop or #text) > most_bytes then
            return nil, "a head of more than " .. LARGEST_BYTES .. " bytes"
        end
        if stop then
            connection:put_back(string_sub(text, stop))
            local head = parse(text, stop)
            return head, head and stop or MALFORMED
        end
        deadline = deadline or ngx_now() + connection.timeout_ms / 1000
        if ngx_now() > deadline then
            return nil, "timeout"
        end
        -- The empty line may have begun in the last bytes.
        searched = #text > 2 and #text - 2 or 1
    end
end

--- Reads the head of the response. Interim ones (100, 102, 103) are about the connection; the real one follows.
-- @param connection table attempt/connection.lua; the head has to end within its timeout from the first byte on
-- @return table|nil { status, headers (names in lower case; the lines of a repeated one in a list), is_kept (whether
--   the server keeps the connection) }
-- @return string|nil error
function _M.read(connection)
    local bytes = 0
    while true do
        local head, size = read_one(connection, LARGEST_BYTES - bytes)
        if not head or head.status >= 200 or head.status == SWITCHING_PROTOCOLS then
            return head, not head and size or nil
        end
        bytes = bytes + size
    end
end

return _M
