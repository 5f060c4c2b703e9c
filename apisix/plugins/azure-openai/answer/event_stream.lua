--- An event stream on its way from a backend to the client: probed, relayed in whole events, kept alive, and never
--- ended as if it were complete when it is not.
local core = require("apisix.core")
local errors = require("apisix.plugins.azure-openai.base.errors")
local lessons = require("apisix.plugins.azure-openai.outcome.outcomes")
local pump_module = require("apisix.plugins.azure-openai.answer.pump")
local served_model = require("apisix.plugins.azure-openai.account.served_model")
local sse = require("apisix.plugins.azure-openai.answer.sse")
local stream_probe = require("apisix.plugins.azure-openai.answer.stream_probe")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")
local usage_module = require("apisix.plugins.azure-openai.account.usage")

local ngx = ngx
local ipairs = ipairs
local type = type
local has_prefix = core.string.has_prefix

local HEARTBEAT = ": keep-alive\n\n"

local _M = {}

local LAST_OF_RESPONSES = {
    ["response.completed"] = true,
    ["response.incomplete"] = true,
    ["response.failed"] = true,
    ["response.cancelled"] = true,
    ["error"] = true,
}

local function ends_chat(_, decoded)
    return decoded.error ~= nil and decoded.error ~= ngx.null
end

local function ends_response(event_type, decoded)
    return LAST_OF_RESPONSES[decoded.type or event_type] == true
end

-- What the last event of a complete stream looks like, besides [DONE]. Streams of other operations end when they end.
local LAST_EVENT = {
    ["chat/completions"] = ends_chat,
    ["completions"] = ends_chat,
}

-- Also a stored response that is read again as a stream.
local function is_of_responses(operation)
    return operation == "responses" or has_prefix(operation, "responses/")
end

local function last_event_of(operation)
    return is_of_responses(operation) and ends_response or LAST_EVENT[operation]
end

-- Whether the last event of a complete stream is in a block: at its end, most likely.
local function has_last_event(block, is_last)
    local events = {}
    for event in sse.events(block) do
        events[#events + 1] = event
    end
    for index = #events, 1, -1 do
        local data, event_type = sse.parse(events[index])
        local decoded = data and data ~= "[DONE]" and core.json.decode(data)
        if data == "[DONE]" or is_last(event_type, type(decoded) == "table" and decoded or {}) then
            return true
        end
    end
    return false
end

local STATUS_OF_REASON = { throttled = 429, server_error = 500 }

-- Turns an error inside a 200 stream into the answer that the backend should have given.
local function as_failure(answer, probe)
    local status = STATUS_OF_REASON[probe.reason]
    if not status then
        return { reason = probe.reason, err = probe.error.message }
    end
    local message = type(probe.error.message) == "string" and probe.error.message or "the stream failed"
    local code = type(probe.error.code) == "string" and probe.error.code or tostring(status)
    answer.headers["content-type"] = "application/json"
    return {
        reason = probe.reason,
        status = status,
        headers = answer.headers,
        body = errors.body(status, code, message),
    }
end

--- Opens the stream of a 200 answer and reads up to its first output.
-- @param pool table
-- @param answer table from `upstream.send`
-- @return table outcome of the attempt: an answer with `stream`, or a failure with `reason`
function _M.open(pool, answer)
    local stream = {
        connection = answer,
        pump = pump_module.new(upstream.reader(answer)),
        splitter = sse.splitter(),
    }
    local failover = pool.failover
    local silence_seconds = failover.stream_heartbeat_seconds > 0 and failover.stream_heartbeat_seconds or nil
    local probe = stream_probe.run(stream.pump, stream.splitter, failover.stream_probe_ms, silence_seconds)
    if probe.reason then
        stream.pump:stop()
        upstream.close(answer)
        return as_failure(answer, probe)
    end

    stream.held = probe.held
    return { status = answer.status, headers = answer.headers, event_stream = stream }
end

local function interruption(operation)
    local message = "The backend broke off its answer."
    if is_of_responses(operation) then
        return "event: error\ndata: "
            .. core.json.encode({
                type = "error",
                code = "server_error",
                message = message,
            })
            .. "\n\n"
    end
    return "data: " .. errors.body(502, "stream_interrupted", message) .. "\n\n"
end

-- Sends one block of complete events, less what the client did not ask for. Returns false when it is gone.
local function send_block(state, block, emit)
    local shown, usage = usage_module.of_block(block, state.hide_usage)
    state.usage = usage or state.usage
    return shown == "" or emit(shown)
end

-- Passes a block on and notes what it tells about the stream. Returns false when the client is gone.
local function pass_on(state, stream, block, emit)
    local events = sse.count(block)
    if events > 0 then
        if stream.on_first_block then
            stream.on_first_block(block)
            stream.on_first_block = nil
        end
        state.sent_events = (state.sent_events or 0) + events
        -- Looked at when the stream ends, not with each block.
        stream.last_block = block
    end
    state.model = state.model or served_model.of_events(block)
    if not state.first_output_at and stream_probe.has_output(block) then
        state.first_output_at = ngx.now()
    end
    return send_block(state, block, emit)
end

local function break_off(state, pool, answer, err, emit)
    core.log.warn("azure-openai: the stream of backend '", answer.backend.name, "' broke: ", err)
    lessons.interrupted(pool, answer, err)
    state.error = "stream_interrupted"
    emit(interruption(state.operation))
    -- An error after the headers cuts the connection: the client must not take the stream for complete.
    return ngx.exit(ngx.ERROR)
end

-- Whether a stream that has ended, or broken off, is whole. Its last event may lack the blank line behind it.
local function ends_whole(state, stream, err, emit)
    local rest = stream.splitter:rest()
    local is_last = last_event_of(state.operation)
    if not is_last then
        return not err and (rest == "" or pass_on(state, stream, rest, emit))
    end
    if rest ~= "" and has_last_event(rest, is_last) then
        return pass_on(state, stream, rest, emit)
    end
    return stream.last_block ~= nil and has_last_event(stream.last_block, is_last)
end

--- Relays the stream to its end.
-- @param state table the request's state: operation, hide_usage; gets usage, sent_events and error
-- @param pool table
-- @param answer table with `event_stream` and `backend`
-- @param emit function(text) -> false when the client is gone
function _M.send(state, pool, answer, emit)
    local stream = answer.event_stream
    local heartbeat_seconds = pool.failover.stream_heartbeat_seconds

    local function client_gone()
        state.error = "client_gone"
        stream.pump:stop()
        upstream.close(stream.connection)
    end

    for _, block in ipairs(stream.held) do
        if not pass_on(state, stream, block, emit) then
            return client_gone()
        end
    end

    while true do
        local chunk, err = stream.pump:next(heartbeat_seconds > 0 and heartbeat_seconds or nil)
        local alive = true
        if chunk then
            local block = stream.splitter:push(chunk)
            if block then
                alive = pass_on(state, stream, block, emit)
            end
        elseif err == "idle" then
            alive = emit(HEARTBEAT)
        elseif ends_whole(state, stream, err, emit) then
            if err then
                upstream.close(stream.connection)
            else
                upstream.release(stream.connection)
            end
            lessons.completed(answer)
            return nil
        else
            stream.pump:stop()
            upstream.close(stream.connection)
            return break_off(state, pool, answer, err or "it ended too early", emit)
        end

        if not alive then
            return client_gone()
        end
    end
end

return _M
