--- Posts one batch to the collector, within a deadline for everything. The timeouts of a socket begin anew with each
--- byte, so a collector that sends one now and then could hold the sending timer of a worker for ever.
local connection_module = require("apisix.plugins.azure-openai.attempt.connection")
local http_exchange = require("apisix.plugins.azure-openai.attempt.http_exchange")
local request_body = require("apisix.plugins.azure-openai.request.body")

local ngx = ngx
local tonumber = tonumber
local thread_kill = ngx.thread.kill
local thread_spawn = ngx.thread.spawn
local thread_wait = ngx.thread.wait

-- An answer says which items were refused, if any. Of a longer one the connection is not used again.
local LARGEST_ANSWER_BYTES = 64 * 1024
local DEFAULT_PORTS = { http = 80, https = 443 }

local _M = {}

-- "http://[::1]:4318" -> { scheme = "http", host = "[::1]", port = 4318 }
local function address_of(endpoint)
    local scheme, authority = endpoint:match("^(%a+)://(.+)$")
    local host, port = authority:match("^(.+):(%d+)$")
    host = host or authority
    return {
        scheme = scheme,
        host = host,
        port = tonumber(port) or DEFAULT_PORTS[scheme],
    }
end

-- Notes in `exchange` what is known so far: the status counts although its body may never end.
local function post(exchange, endpoint, path, body)
    local server, timeout_ms = address_of(endpoint), exchange.seconds * 1000
    local response
    exchange.connection, exchange.err = connection_module.open(server, {
        ssl_verify = true,
        connect_timeout_ms = timeout_ms,
        timeout_ms = timeout_ms,
    })
    if not exchange.connection then
        return
    end
    response, exchange.err = http_exchange.exchange(exchange.connection, server, {
        method = "POST",
        target = path,
        body = request_body.of_text(body),
        headers = { ["content-type"] = "application/x-protobuf" },
    })
    if not response then
        return
    end
    exchange.status = response.status
    if not response.body or response.body:read_whole(LARGEST_ANSWER_BYTES) then
        http_exchange.release(response)
        exchange.is_over = true
    end
end

--- Posts a batch and waits for the answer, all in all no longer than the deadline.
-- @param endpoint string "http://127.0.0.1:4318"
-- @param path string of the signal
-- @param body string Protobuf
-- @param seconds number the deadline
-- @return number|nil status; also of an answer whose body did not end in time
-- @return string|nil error
function _M.post(endpoint, path, body, seconds)
    local exchange = { seconds = seconds }
    local worker = thread_spawn(post, exchange, endpoint, path, body)
    local clock = thread_spawn(function()
        ngx.sleep(seconds)
    end)
    local has_worked, err = thread_wait(worker, clock)
    thread_kill(worker)
    thread_kill(clock)
    if exchange.connection and not exchange.is_over then
        exchange.connection:close()
    end
    if not has_worked then
        return nil, err
    end
    return exchange.status, exchange.err or "no answer within " .. seconds .. " s"
end

return _M
