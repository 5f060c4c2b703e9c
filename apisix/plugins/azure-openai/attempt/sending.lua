--- Sends a request; a large one while the head of the response may come already.
--
-- A server that does not want a body may say so and read no further, and keep the connection open. Who only writes
-- hears that when the write times out. So a light thread writes, and the caller listens. A small request fits into the
-- buffers between the two.
--
-- Nobody waits for the thread: nginx would wake up who has once waited for it when it ends, in the middle of something
-- else. What becomes of it stands in a table.
local connection_module = require("apisix.plugins.azure-openai.attempt.connection")
local response_head = require("apisix.plugins.azure-openai.attempt.response_head")

local error = error
local ngx_now = ngx.now
local pcall = pcall
local setmetatable = setmetatable
local thread_kill = ngx.thread.kill
local thread_spawn = ngx.thread.spawn
local type = type
local math_ceil = math.ceil
local math_max = math.max
local math_min = math.min

local BROKEN = connection_module.BROKEN

-- So often who listens looks whether the thread has failed. A server that closes the connection is heard at once.
local LOOK_MS = 1000

-- A request that is under way. For `response_head` it is the connection.
local Sending = {}
Sending.__index = Sending

local _M = {
    --- Larger bodies are sent while the gateway listens.
    SMALL_BYTES = 64 * 1024,
}

--- Sends head and body. A body in memory goes with the head, in one piece.
-- @param head string[]
-- @param rest string|function|nil body as from `request_body.sendable`
-- @return number|boolean|nil
-- @return string|nil error
function _M.send(connection, head, rest)
    if type(rest) ~= "function" then
        return connection:send(rest and { head, rest } or head)
    end
    local sent, err = connection:send(head)
    local piece = sent and rest()
    while piece and sent do
        sent, err = connection:send(piece)
        piece = sent and rest()
    end
    return sent, err
end

local function write(sending, head, rest)
    local has_run, sent, err = pcall(_M.send, sending.connection, head, rest)
    sending.err, sending.fault = err, not has_run and sent or nil
    sending.ended_at = ngx_now()
end

-- Why there is nothing to listen for any more; nil when there is. A server that refuses the body may have answered
-- before it closed.
local function failure(sending)
    if sending.fault then
        error(sending.fault, 0)
    end
    return not BROKEN[sending.err] and sending.err or nil
end

-- How long to listen now: the server may be silent for so long once it has the request, and again after each piece of
-- the head. While it still gets the request, silence says nothing.
local function patience_ms(sending)
    if not sending.ended_at then
        return math_min(sending.timeout_ms, LOOK_MS)
    end
    local since = math_max(sending.ended_at, sending.heard_at)
    return math_ceil((since - ngx_now()) * 1000 + sending.timeout_ms)
end

function Sending:receiveany(most_bytes)
    local connection, data = self.connection, nil
    local err = failure(self)
    local wait_ms = patience_ms(self)
    while not data and not err and wait_ms > 0 do
        connection:settimeout(wait_ms)
        data, err = connection:receiveany(most_bytes)
        if err == "timeout" then
            err = failure(self)
            wait_ms = patience_ms(self)
        end
    end
    connection:settimeout(self.timeout_ms)
    self.heard_at = ngx_now()
    return data, not data and (err or "timeout") or nil
end

function Sending:put_back(data)
    self.connection:put_back(data)
end

--- Sends a large request and reads the head of the response, which may come first. Then the connection is of no use for
--- another request, and what is still to be sent goes on until it is closed.
-- @param rest string|function body as from `request_body.sendable`
-- @return table|nil response as from `response_head.read`
-- @return string|nil error
-- @return number when sending ended; now, when it has not
function _M.send_and_listen(connection, head, rest)
    local sending =
        setmetatable({ connection = connection, timeout_ms = connection.timeout_ms, heard_at = 0 }, Sending)
    local writer = thread_spawn(write, sending, head, rest)
    local response, err = response_head.read(sending)
    if response and not sending.ended_at then
        response.is_kept = false
        connection:keep_writing(writer)
    else
        thread_kill(writer)
    end
    return response, sending.err or err, sending.ended_at or ngx_now()
end

return _M
