--- Fetches a small document over HTTP/1.0: one connection, one answer, which ends with the connection.
local ngx = ngx
local pcall = pcall
local tonumber = tonumber
local table_concat = table.concat

local DEFAULT_PORTS = { http = 80, https = 443 }
local PIECE_BYTES = 64 * 1024
local MOST_BYTES = 1024 * 1024

local _M = {}

local function connect(scheme, host, port, timeout_ms)
    local socket = ngx.socket.tcp()
    socket:settimeout(timeout_ms)
    local ok, err = socket:connect(host, port)
    if ok and scheme == "https" then
        -- A handshake that fails at once raises an error.
        local is_over
        is_over, ok, err = pcall(socket.sslhandshake, socket, nil, host, true)
        ok = is_over and ok
    end
    return ok and socket or nil, err or "the TLS handshake failed"
end

local function read_all(socket)
    local pieces, bytes = {}, 0
    while true do
        local piece, err = socket:receiveany(PIECE_BYTES)
        if not piece then
            return err == "closed" and table_concat(pieces) or nil, err
        end
        pieces[#pieces + 1], bytes = piece, bytes + #piece
        if bytes > MOST_BYTES then
            return nil, "it has more than " .. MOST_BYTES .. " bytes"
        end
    end
end

--- Gets a document.
-- @param url string without user, password and fragment
-- @param timeout_ms number of each step
-- @return number|nil status
-- @return string body, or the error
function _M.get(url, timeout_ms)
    local scheme, host, port, path = url:match("^(https?)://([^/:?#]+):?(%d*)([^#]*)$")
    if not scheme then
        return nil, "it is no URL"
    end
    local socket, err = connect(scheme, host, tonumber(port) or DEFAULT_PORTS[scheme], timeout_ms)
    if not socket then
        return nil, err
    end
    local authority = port ~= "" and host .. ":" .. port or host
    local target = path:sub(1, 1) == "/" and path or "/" .. path
    local answer
    answer, err = socket:send("GET " .. target .. " HTTP/1.0\r\nHost: " .. authority .. "\r\n\r\n")
    if answer then
        answer, err = read_all(socket)
    end
    socket:close()
    local status, body = (answer or ""):match("^HTTP/1%.%d (%d%d%d)[^\n]*\n.-\r?\n\r?\n(.*)$")
    return tonumber(status), body or err or "its answer is not HTTP"
end

return _M
