--- Posts one batch to the collector, within a deadline for everything. The timeouts of a socket begin anew with each
--- byte, so a collector that sends one now and then could hold the sending timer of a worker for ever.
local http = require("resty.http")
local guarded_socket = require("apisix.plugins.azure-openai.attempt.guarded_socket")

local ngx = ngx
local tonumber = tonumber
local thread_kill = ngx.thread.kill
local thread_spawn = ngx.thread.spawn
local thread_wait = ngx.thread.wait

-- An answer says which items were refused, if any. Of a longer one the connection is not used again.
local LARGEST_ANSWER_BYTES = 64 * 1024
local DEFAULT_PORTS = { http = 80, https = 443 }

local _M = {}

-- Returns whether the answer has been read to its end.
local function read_to_the_end(response)
    local bytes = 0
    repeat
        local piece, err = response.body_reader(LARGEST_ANSWER_BYTES)
        bytes = bytes + #(piece or "")
        if err or bytes > LARGEST_ANSWER_BYTES then
            return false
        end
    until not piece
    return true
end

-- "http://[::1]:4318" -> { scheme = "http", host = "[::1]", port = 4318 }
local function address_of(endpoint)
    local scheme, authority = endpoint:match("^(%a+)://(.+)$")
    local host, port = authority:match("^(.+):(%d+)$")
    host = host or authority
    return {
        scheme = scheme,
        host = host,
        port = tonumber(port) or DEFAULT_PORTS[scheme],
        ssl_server_name = host,
    }
end

-- Notes in `exchange` what is known so far: the status counts although its body may never end.
local function post(exchange, endpoint, path, body)
    local client, timeout_ms = exchange.client, exchange.seconds * 1000
    client:set_timeouts(timeout_ms, timeout_ms, timeout_ms)
    local is_connected, response
    is_connected, exchange.err = client:connect(address_of(endpoint))
    if not is_connected then
        return
    end
    guarded_socket.guard(client.sock)
    response, exchange.err = client:request({
        method = "POST",
        path = path,
        body = body,
        headers = { ["Content-Type"] = "application/json" },
    })
    if not response then
        return
    end
    exchange.status = response.status
    if not response.has_body or read_to_the_end(response) then
        exchange.is_kept = client:set_keepalive() ~= nil
    end
end

--- Posts a batch and waits for the answer, all in all no longer than the deadline.
-- @param endpoint string "http://127.0.0.1:4318"
-- @param path string of the signal
-- @param body string JSON
-- @param seconds number the deadline
-- @return number|nil status; also of an answer whose body did not end in time
-- @return string|nil error
function _M.post(endpoint, path, body, seconds)
    local client, why = http.new()
    if not client then
        return nil, why
    end
    local exchange = { client = client, seconds = seconds }
    local worker = thread_spawn(post, exchange, endpoint, path, body)
    local clock = thread_spawn(function()
        ngx.sleep(seconds)
    end)
    local has_worked, err = thread_wait(worker, clock)
    thread_kill(worker)
    thread_kill(clock)
    if not exchange.is_kept then
        client:close()
    end
    if not has_worked then
        return nil, err
    end
    return exchange.status, exchange.err or "no answer within " .. seconds .. " s"
end

return _M
