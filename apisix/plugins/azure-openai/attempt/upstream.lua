--- One HTTP request to one backend: connect, send, read the head of the answer.
local http = require("resty.http")
local answer_body = require("apisix.plugins.azure-openai.attempt.answer_body")
local guarded_socket = require("apisix.plugins.azure-openai.attempt.guarded_socket")
local request_body = require("apisix.plugins.azure-openai.request.body")

local type = type
local ngx_now = ngx.now

-- A connection that died while it was idle says so when it is used, within one round trip. A backend that closes later
-- has read the request, and may have done what it says.
local AT_ONCE_SECONDS = 0.25

local IDLE_MS = 60000
local POOL_SIZE = 64

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

local function connect(pool, attempt)
    local client, backend, failover = http.new(), attempt.backend, pool.failover
    local connect_timeout_ms = attempt.connect_timeout_ms or failover.connect_timeout_ms
    client:set_timeouts(connect_timeout_ms, failover.read_timeout_ms, failover.read_timeout_ms)
    local ok, err = client:connect({
        scheme = backend.scheme,
        host = backend.host,
        port = backend.port,
        ssl_verify = pool.ssl_verify,
        ssl_server_name = backend.host,
        pool = attempt.is_repeat and UNPOOLED or nil,
    })
    if not ok then
        return nil, err or "unknown"
    end
    return client, nil, guarded_socket.guard(client.sock)
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

-- Interim responses (100, 102, 103) are about the connection to the backend. The real response follows.
local function read_final(client, request, response, err)
    while response and response.status < 200 and response.status ~= SWITCHING_PROTOCOLS do
        response, err = client:read_response(request)
    end
    return response, err
end

-- Sends the request and reads the head of the response. Returns also when sending ended.
local function exchange(client, message)
    local path, query = split_target(message.target)
    local request = {
        method = message.method,
        path = path,
        query = query,
        headers = message.headers,
        -- Made anew for each try: a reader that a dead connection has begun would continue in the middle.
        body = request_body.sendable(message.body),
    }
    local sent, err = client:send_request(request)
    local sent_at = ngx_now()
    local response
    if sent then
        response, err = client:read_response(request)
    elseif BROKEN[err] and message.body then
        -- A backend that refuses the body may have answered before it closed.
        response = client:read_response(request)
    end
    response, err = read_final(client, request, response, err)
    return response, err, sent_at
end

-- Completes a response whose head was read.
local function with_body(response, client, pool)
    response.client = client
    keep_one(response.headers, "content-type")
    if response.has_body then
        local err
        response.body, err = answer_body.new(client.sock, response.headers, pool.failover.read_timeout_ms)
        if not response.body then
            client:close()
            return nil, "reset", err
        end
    end
    return response
end

--- Sends a request and waits for the head of the response.
-- @param pool table for its timeouts
-- @param attempt Attempt; a repeat uses a new connection, which is not kept afterwards
-- @param message table { method, target (path and query), headers, body (as request/body makes it, or nil) }
-- @return table|nil response with status, headers, `body` (attempt/answer_body.lua; nil when it has none) and `client`,
--   the connection to release or close
-- @return string|nil reason: "dns", "connect", "tls", "no_socket" (the gateway has none to spare), "timeout" (no
--   response in time) or "reset"
-- @return string|nil error for the log
-- @return boolean|nil whether the connection had died while it was idle, so that the backend has done nothing
function _M.send(pool, attempt, message)
    local client, err, heard = connect(pool, attempt)
    if not client then
        return nil, connect_reason(err), err
    end
    local was_pooled = (client:get_reused_times() or 0) > 0
    local response, sent_at
    response, err, sent_at = exchange(client, message)
    if response then
        response.is_unpooled = attempt.is_repeat
        return with_body(response, client, pool)
    end
    client:close()
    local is_stale = was_pooled
        and BROKEN[err] == true
        and not heard.anything
        and ngx_now() - sent_at <= AT_ONCE_SECONDS
    return nil, err == "timeout" and "timeout" or "reset", err, is_stale
end

--- Puts the connection of a fully read response back into the pool that it came from, unless it cannot be used again.
function _M.release(response)
    local client, body = response.client, response.body
    if response.is_unpooled or not client.keepalive or (body and not body:leaves_clean()) then
        return client:close()
    end
    if not client.sock:setkeepalive(IDLE_MS, POOL_SIZE) then
        -- The backend has sent more than its answer.
        client:close()
    end
    return nil
end

--- Drops the connection of a response that is not read to its end.
function _M.close(response)
    response.client:close()
end

return _M
