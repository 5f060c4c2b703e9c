--- One HTTP request to one backend: connect, send, read the head of the answer.
local connection_module = require("apisix.plugins.azure-openai.attempt.connection")
local http_exchange = require("apisix.plugins.azure-openai.attempt.http_exchange")

local ngx_now = ngx.now

-- A connection that died while it was idle says so when it is used, within one round trip. A backend that closes later
-- has read the request, and may have done what it says.
local AT_ONCE_SECONDS = 0.25

local BROKEN = connection_module.BROKEN

local _M = {
    --- Puts the connection of a fully read response back into its pool, unless it cannot be used again.
    release = http_exchange.release,
    --- Drops the connection of a response that is not read to its end.
    close = http_exchange.close,
}

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
    return "connect"
end

local function connect(pool, attempt)
    local failover = pool.failover
    local connection, err, stage = connection_module.open(attempt.backend, {
        ssl_verify = pool.ssl_verify,
        connect_timeout_ms = attempt.connect_timeout_ms or failover.connect_timeout_ms,
        timeout_ms = failover.read_timeout_ms,
        is_unpooled = attempt.is_repeat,
    })
    if not connection then
        local is_tls = stage == "tls" and err ~= "timeout" and not BROKEN[err]
        return nil, is_tls and "tls" or connect_reason(err), err
    end
    return connection
end

--- Sends a request and waits for the head of the response.
-- @param pool table for its timeouts
-- @param attempt Attempt; a repeat uses a new connection, which is not kept afterwards
-- @param message table { method, target (path and query), headers, body (as request/body makes it, or nil) }
-- @return table|nil response as from `http_exchange.exchange`, to release or close
-- @return string|nil reason: "dns", "connect", "tls", "no_socket" (the gateway has none to spare), "timeout" (no
--   response in time) or "reset"
-- @return string|nil error for the log
-- @return boolean|nil whether the connection had died while it was idle, so that the backend has done nothing
function _M.send(pool, attempt, message)
    local connection, reason, err = connect(pool, attempt)
    if not connection then
        return nil, reason, err
    end
    local response, sent_at
    response, err, sent_at = http_exchange.exchange(connection, attempt.backend, message, true)
    if response then
        return response
    end
    connection:close()
    local is_stale = connection.was_pooled
        and BROKEN[err] == true
        and not connection.has_heard
        and ngx_now() - sent_at <= AT_ONCE_SECONDS
    return nil, err == "timeout" and "timeout" or "reset", err, is_stale
end

return _M
