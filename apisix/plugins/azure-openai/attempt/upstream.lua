--- One HTTP request to one backend: connect, send, read the head of the answer.
local http = require("resty.http")
local guarded_socket = require("apisix.plugins.azure-openai.attempt.guarded_socket")
local byte_buffer = require("apisix.plugins.azure-openai.base.byte_buffer")
local request_body = require("apisix.plugins.azure-openai.request.body")

local tonumber = tonumber
local type = type

local CHUNK_BYTES = 65536
local TOO_LARGE = "too large"

local SWITCHING_PROTOCOLS = 101

-- No connection is ever put into the pool of this name, so a connection from it is always new.
local UNPOOLED = "azure-openai-unpooled"

local _M = {}

-- The errors of a connection that the backend has closed before any response, for example one from the pool.
local BROKEN = { closed = true, ["connection reset by peer"] = true, ["broken pipe"] = true }

-- What the gateway itself is out of: files, connections, ports, memory. No backend is to blame.
local OUT_OF = {
    ["too many open files"] = true,
    ["too many open files in system"] = true,
    -- So nginx says that all its connections are taken.
    ["resource temporarily unavailable"] = true,
    ["cannot assign requested address"] = true,
    ["no buffer space available"] = true,
    ["cannot allocate memory"] = true,
}

local function connect_reason(err)
    if OUT_OF[err] then
        return "no_socket"
    end
    if
        err:find("resolve", 1, true)
        or err:find("host not found", 1, true)
        or err:find("no records", 1, true)
        or err:find("name error", 1, true)
    then
        return "dns"
    end
    if err:find("ssl", 1, true) or err:find("certificate", 1, true) or err:find("handshake", 1, true) then
        return "tls"
    end
    return "connect"
end

local function connect(backend, pool, pool_name)
    local client = http.new()
    local failover = pool.failover
    client:set_timeouts(failover.connect_timeout_ms, failover.read_timeout_ms, failover.read_timeout_ms)
    local ok, err = client:connect({
        scheme = backend.scheme,
        host = backend.host,
        port = backend.port,
        ssl_verify = pool.ssl_verify,
        ssl_server_name = backend.host,
        pool = pool_name,
    })
    if not ok then
        return nil, err or "unknown"
    end
    guarded_socket.guard(client.sock)
    return client
end

-- lua-resty-http wants path and query apart. With its question mark even an empty query stays as it was.
local function split_target(target)
    local path, query = target:match("^([^?]*)(%?.*)$")
    return path or target, query
end

-- Keeps the first line of a header that may occur only once.
local function keep_one(headers, name)
    local value = headers[name]
    if type(value) == "table" then
        headers[name] = value[1]
    end
end

-- The client library itself takes any number, and with -5 it never comes to an end.
local function is_length(value)
    return value == nil or (type(value) == "string" and value:find("^%d+$") ~= nil)
end

-- Interim responses (100, 102, 103) are about the connection to the backend. The real response follows.
local function read_final(client, request, response, err)
    while response and response.status < 200 and response.status ~= SWITCHING_PROTOCOLS do
        response, err = client:read_response(request)
    end
    return response, err
end

local function exchange_once(client, message)
    local path, query = split_target(message.target)
    local request = {
        method = message.method,
        path = path,
        query = query,
        headers = message.headers,
        -- Made anew for each try: a reader that a dead connection has begun would continue in the middle.
        body = request_body.sendable(message.body),
    }
    local response, err = client:request(request)
    if not response and BROKEN[err] and message.body then
        -- A backend that refuses the body may have answered before it closed.
        response = client:read_response(request)
    end
    response, err = read_final(client, request, response, err)
    if response and not is_length(response.headers["content-length"]) then
        return nil, "a malformed content-length, or more than one"
    end
    return response, err
end

--- Sends a request and waits for the head of the response.
-- @param pool table for its timeouts
-- @param backend table
-- @param message table { method, target (path and query), headers, body (as request/body makes it, or nil) }
-- @return table|nil response with status, headers, body_reader and `client`, the connection to release or close
-- @return string|nil reason: "dns", "connect", "tls", "no_socket" (the gateway has none to spare), "timeout" (no
--   response in time) or "reset"
-- @return string|nil error for the log
function _M.send(pool, backend, message)
    local client, err = connect(backend, pool)
    if not client then
        return nil, connect_reason(err), err
    end
    local was_pooled = (client:get_reused_times() or 0) > 0
    local is_unpooled = false
    local response
    response, err = exchange_once(client, message)
    if not response and was_pooled and BROKEN[err] then
        -- Most likely the connection died in the pool. Once more, on a new one.
        is_unpooled = true
        client:close()
        client, err = connect(backend, pool, UNPOOLED)
        if not client then
            return nil, connect_reason(err), err
        end
        response, err = exchange_once(client, message)
    end
    if not response then
        client:close()
        return nil, err == "timeout" and "timeout" or "reset", err
    end
    response.client = client
    response.is_unpooled = is_unpooled
    keep_one(response.headers, "content-type")
    return response
end

-- Reads what has not been read yet.
local function reader_of_rest(response)
    local headers = response.headers
    if headers["content-length"] or headers["transfer-encoding"] then
        return function()
            return response.body_reader(CHUNK_BYTES)
        end
    end

    -- A body that ends with its connection: the client library would wait for a full piece.
    local sock = response.client.sock
    return function()
        local data, err = sock:receiveany(CHUNK_BYTES)
        if err == "closed" then
            return nil
        end
        return data, err
    end
end

--- A reader of the response's body that hands out what has arrived, in pieces of bounded size.
-- @return function() -> chunk | nil at the end | nil, error
function _M.reader(response)
    local read_rest = reader_of_rest(response)
    local read_ahead, position = response.read_ahead or {}, 0
    return function()
        position = position + 1
        local piece = read_ahead[position]
        if piece then
            read_ahead[position] = nil
            return piece
        end
        return read_rest()
    end
end

--- Reads a body to its end, if it is not larger than a limit. Afterwards, `reader` hands out a larger body from its
--- beginning.
-- @param limit_bytes number
-- @return string|nil body
-- @return string|nil error: "too large", or why the body broke off
function _M.read_body(response, limit_bytes)
    if not response.has_body then
        return ""
    end
    if (tonumber(response.headers["content-length"]) or 0) > limit_bytes then
        return nil, TOO_LARGE
    end
    local read, buffer = reader_of_rest(response), byte_buffer.new()
    local chunk, err = read()
    while chunk do
        buffer:add(chunk)
        if buffer.size > limit_bytes then
            response.read_ahead = buffer:take_pieces()
            return nil, TOO_LARGE
        end
        chunk, err = read()
    end
    if err then
        return nil, err
    end
    return buffer:take()
end

--- The first piece of a body that is not read whole; `reader` hands it out all the same.
-- @return string|nil
-- @return string|nil error why there is none
function _M.beginning(response)
    if not response.read_ahead then
        local piece, err = reader_of_rest(response)()
        response.read_ahead = { piece }
        return piece, err or "the body is empty"
    end
    return response.read_ahead[1]
end

--- Puts the connection of a fully read response back into the pool that it came from.
function _M.release(response)
    if response.is_unpooled then
        return _M.close(response)
    end
    response.client:set_keepalive(60000, 64)
end

--- Drops the connection of a response that is not read to its end.
function _M.close(response)
    response.client:close()
end

return _M
