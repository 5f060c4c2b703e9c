--- Relays an event stream from a backend to the client: probes it, sends whole events, keeps it alive, and never ends a
--- broken stream as if it were complete.
local core = require("apisix.core")
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local errors = require("apisix.plugins.azure-openai.base.errors")
local json_end = require("apisix.plugins.azure-openai.base.json_end")
local line_ends = require("apisix.plugins.azure-openai.answer.line_ends")
local error_codes = require("apisix.plugins.azure-openai.outcome.error_codes")
local outcomes = require("apisix.plugins.azure-openai.outcome.outcomes")
local sse = require("apisix.plugins.azure-openai.answer.sse")
local stream_probe = require("apisix.plugins.azure-openai.answer.stream_probe")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")

local ngx = ngx
local ipairs = ipairs
local type = type
local has_prefix = core.string.has_prefix

local HEARTBEAT = ": keep-alive\n\n"

local _M = {}

-- The last event of a Responses stream is one of these.
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

local function ends_message(event_type, decoded)
    local kind = decoded.type or event_type
    return kind == "message_stop" or kind == "error"
end

-- Which event may end a complete stream, besides [DONE]. Streams of other operations have no last event.
local LAST_EVENT = {
    ["chat/completions"] = ends_chat,
    ["completions"] = ends_chat,
    ["messages"] = ends_message,
}

-- A stored response can be read again as a stream.
local function is_of_responses(operation)
    return operation == "responses" or has_prefix(operation, "responses/")
end

local function last_event_of(operation)
    return is_of_responses(operation) and ends_response or LAST_EVENT[operation]
end

-- Whether an event is the last one of a complete stream.
local function is_last_event(event, is_last)
    if sse.is_large(event) then
        return is_last(sse.type_of(event), {})
    end
    local data, event_type = sse.parse(event)
    local decoded = data and data ~= "[DONE]" and bounded_json.decode(data)
    return data == "[DONE]" or is_last(event_type, type(decoded) == "table" and decoded or {})
end

-- Whether a block holds the last event of a complete stream; it is most likely at the block's end.
local function has_last_event(block, is_last)
    for event in sse.events_from_the_end(block) do
        if is_last_event(event, is_last) then
            return true
        end
    end
    return false
end

local BROKEN_OFF = { timeout = true, reset = true }

-- Turns a stream that came to nothing into the outcome that the backend should have given.
local function as_failure(response, probe, surface)
    if BROKEN_OFF[probe.reason] then
        return { reason = probe.reason, err = probe.error.message }
    end
    return error_codes.outcome(response.headers, probe.reason, probe.error, surface)
end

--- Opens the stream of a 200 response and reads up to its first output.
-- @param pool table
-- @param response table from `upstream.send`
-- @param request Request
-- @return table|nil stream, for the Answer's `event_stream`
-- @return Outcome|nil the failure, when the stream begins with one
function _M.open(pool, response, request)
    local stream = {
        connection = response,
        reader = line_ends.reader(response.body),
        splitter = sse.splitter(),
    }
    local failover = pool.failover
    local limit_ms = is_of_responses(request.operation) and failover.responses_probe_ms
        or failover.stream_probe_ms
    local silence_seconds = failover.stream_heartbeat_seconds > 0 and failover.stream_heartbeat_seconds or nil
    local probe = stream_probe.run(stream.reader, stream.splitter, limit_ms, silence_seconds)
    if probe.reason then
        upstream.close(response)
        return nil, as_failure(response, probe, request.surface)
    end

    stream.held = probe.held
    return stream
end

local function interruption(request)
    local message = "The backend broke off its answer."
    if request.surface.has_anthropic_errors then
        return "event: error\ndata: " .. errors.text(502, { message = message }, request.surface) .. "\n\n"
    end
    if is_of_responses(request.operation) then
        return "event: error\ndata: "
            .. core.json.encode({
                type = "error",
                code = "server_error",
                message = message,
            })
            .. "\n\n"
    end
    return "data: " .. errors.text(502, { message = message, code = "stream_interrupted" }) .. "\n\n"
end

-- Passes a block of complete events on. Returns false when the client is gone.
local function pass_on(state, answer, block, meter, emit)
    local stream = answer.event_stream
    local events = sse.count(block)
    if events > 0 then
        if stream.on_block and stream.on_block(block) then
            stream.on_block = nil
        end
        state.sent_events = (state.sent_events or 0) + events
        -- Only the last one is looked at, when the stream ends.
        stream.last_block = block
        stream.failure = stream_probe.failure_after(stream.failure, block)
    end
    if not state.first_output_at and stream_probe.has_output(block) then
        outcomes.has_output(state, answer)
    end
    local shown = meter:events(block)
    return shown == "" or emit(shown)
end

-- Tells what became of the answer. A failure that the backend reported in it says more than how it ended.
local function settle(state, answer, err)
    local failure = answer.event_stream.failure
    if failure then
        state.failure = failure.reason
        local outcome = error_codes.outcome({}, failure.reason, failure.error, state.request.surface)
        outcome.headers = answer.headers
        outcomes.failed_late(answer, outcome)
    elseif err then
        outcomes.failed(answer, err)
    else
        outcomes.succeeded(answer)
    end
end

local function break_off(state, answer, err, emit)
    local stream = answer.event_stream
    upstream.close(stream.connection)
    core.log.warn("azure-openai: the stream of backend '", answer.backend.name, "' broke: ", err)
    settle(state, answer, err)
    state.error = "stream_interrupted"
    local end_of_event = stream.splitter.is_inside_event and "\n\n" or ""
    emit(end_of_event .. interruption(state.request))
    -- An error after the headers cuts the connection: the client must not take the stream for complete.
    return ngx.exit(ngx.ERROR)
end

-- Whether an event whose blank line is missing was sent to its end.
local function is_decodable(event)
    local data, event_type = sse.parse(event)
    if not data then
        -- A comment.
        return event_type == nil
    end
    if data == "[DONE]" then
        return true
    end
    if sse.is_large(event) then
        return json_end.is_whole(data)
    end
    return type(bounded_json.decode(data)) == "table"
end

-- Whether a stream that has ended, or broken off, is whole. The blank line after its last event may be missing.
local function ends_whole(state, answer, err, meter, emit)
    local stream = answer.event_stream
    local rest = stream.splitter:rest()
    local is_rest_whole = rest == "" or is_decodable(rest)
    local is_last = last_event_of(state.request.operation)
    if not is_last then
        return not err and is_rest_whole and (rest == "" or pass_on(state, answer, rest, meter, emit))
    end
    if rest ~= "" and is_rest_whole and has_last_event(rest, is_last) then
        return pass_on(state, answer, rest, meter, emit)
    end
    return stream.last_block ~= nil and has_last_event(stream.last_block, is_last)
end

--- Relays the stream to its end.
-- @param state RequestState gets sent_events, first_output_at and error
-- @param answer Answer with `event_stream`
-- @param meter table watches the events: `meter:events(block)` returns the block that the client may see
-- @param emit function(text) -> false when the client is gone
function _M.send(state, answer, meter, emit)
    local stream = answer.event_stream
    local heartbeat_seconds = state.pool.failover.stream_heartbeat_seconds

    local function client_gone()
        state.error = "client_gone"
        if stream.failure then
            settle(state, answer)
        end
        upstream.close(stream.connection)
    end

    for _, block in ipairs(stream.held) do
        if not pass_on(state, answer, block, meter, emit) then
            return client_gone()
        end
    end

    while true do
        local chunk, err = stream.reader:next(heartbeat_seconds > 0 and heartbeat_seconds or nil)
        local alive = true
        if chunk then
            local block = stream.splitter:push(chunk)
            if block then
                alive = pass_on(state, answer, block, meter, emit)
            end
        elseif err == "idle" then
            -- Inside an event it would end the event.
            alive = stream.splitter.is_inside_event or emit(HEARTBEAT)
        elseif ends_whole(state, answer, err, meter, emit) then
            if err then
                upstream.close(stream.connection)
            else
                upstream.release(stream.connection)
            end
            settle(state, answer)
            return nil
        else
            return break_off(state, answer, err or "it ended too early", emit)
        end

        if not alive then
            return client_gone()
        end
    end
end

return _M
