--- Reads a 200 event stream up to its first output, since Azure can report throttling or a fault there.
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local error_codes = require("apisix.plugins.azure-openai.outcome.error_codes")
local sse = require("apisix.plugins.azure-openai.answer.sse")

local ngx = ngx
local ngx_now = ngx.now
local next = next
local type = type
local ipairs = ipairs
local pairs = pairs
local math_max = math.max

-- Preamble is held in memory. A Responses stream repeats the request's instructions and tools in it, twice.
local MOST_HELD_BYTES = 1024 * 1024

local PREAMBLE = {
    ["response.created"] = true,
    ["response.queued"] = true,
    ["response.in_progress"] = true,
    ["message_start"] = true,
    ["ping"] = true,
}
-- Blocks of a message that begin without a word.
local BEGINS_EMPTY = { text = "text", thinking = "thinking" }

local _M = {}

-- The error object of an event in any of its forms: nested, flat, inside a response, message only.
local function error_of(event_type, decoded)
    local kind = decoded.type or event_type
    if kind == "response.failed" then
        local response = type(decoded.response) == "table" and decoded.response or {}
        return type(response.error) == "table" and response.error or {}
    end
    if type(decoded.error) == "table" then
        return decoded.error
    end
    if type(decoded.error) == "string" then
        return { message = decoded.error }
    end
    if kind == "error" then
        return decoded
    end
    if not decoded.choices and not decoded.type and type(decoded.message) == "string" then
        return decoded
    end
    return nil
end

local function is_nothing(value)
    return value == nil or value == ngx.null or value == "" or (type(value) == "table" and next(value) == nil)
end

-- Whether all choices are empty, as in `{"delta":{"role":"assistant","content":"","tool_calls":null}}`.
local function is_silent(choices)
    for _, choice in ipairs(choices) do
        local delta = type(choice) == "table" and choice.delta
        if type(delta) ~= "table" or not is_nothing(choice.finish_reason) then
            return false
        end
        for name, value in pairs(delta) do
            if name ~= "role" and not is_nothing(value) then
                return false
            end
        end
    end
    return true
end

-- Whether a block of a message begins, and says nothing yet.
local function begins_empty(decoded)
    local block = decoded.content_block
    local words = type(block) == "table" and BEGINS_EMPTY[block.type]
    return words ~= nil and words ~= false and is_nothing(block[words])
end

local function is_preamble(event_type, decoded)
    local kind = decoded.type or event_type
    if PREAMBLE[kind] then
        return true
    end
    if kind == "content_block_start" then
        return begins_empty(decoded)
    end
    local choices = decoded.choices
    if type(choices) ~= "table" then
        return false
    end
    -- The chunk that only carries prompt_filter_results, and chunks that only name the role.
    if #choices == 0 then
        return type(decoded.usage) ~= "table"
    end
    return is_silent(choices)
end

-- What an event with an error means for the stream.
local KIND_OF_MEANING = {
    throttled = "failure",
    server_error = "failure",
    not_found = "failure",
    of_request = "output",
    unknown = "output",
}

-- Classifies one event:
--
--     data: {"type":"response.created"}           -> "preamble"
--     data: {"error":{"code":"429"}}              -> "failure", "throttled", { code = "429" }
--     data: {"error":{"code":"content_filter"}}   -> "output"
--     data: {"type":"response.failed"}            -> "unexplained"
--
-- Returns "preamble" (decide later), "output" (for the client), "failure" or "unexplained" (an error whose reason comes
-- in the next event); of a failure also what it means (error_codes.meaning) and the error object.
local function classify(event)
    if sse.is_large(event) then
        return "output"
    end
    local data, event_type = sse.parse(event)
    if not data then
        return "preamble"
    end
    local decoded = bounded_json.decode(data)
    if type(decoded) ~= "table" then
        if event_type ~= "error" then
            return "output"
        end
        decoded = { error = data }
    end

    local err = error_of(event_type, decoded)
    if err then
        local meaning = error_codes.meaning(err)
        return KIND_OF_MEANING[meaning] or "unexplained", meaning, err
    end
    return is_preamble(event_type, decoded) and "preamble" or "output"
end

local UNEXPLAINED = { message = "the response failed" }

-- The first event of a block that says more than preamble. `is_unexplained` tells that an error without a reason came
-- before: what follows must explain it.
local function inspect(block, is_unexplained)
    if sse.count(block) == 0 then
        return is_unexplained and "unexplained" or "preamble"
    end
    for event in sse.events(block) do
        local kind, meaning, err = classify(event)
        if kind == "unexplained" then
            is_unexplained = true
        elseif kind == "output" and is_unexplained and not err then
            return "failure", "server_error", UNEXPLAINED
        elseif kind ~= "preamble" then
            return kind, meaning, err
        end
    end
    return is_unexplained and "unexplained" or "preamble"
end

--- Whether a block of events holds more than preamble.
-- @return boolean
function _M.has_output(block)
    return inspect(block) ~= "preamble"
end

-- Inside of a text the quotes would be escaped, so a model's own words look like an error only after "event:", or when
-- they name a failed response. Then the event is decoded in vain.
local function may_hold_error(block)
    -- A plain search is many times as fast as a pattern, so words come first.
    local has_word = block:find("error", 1, true)
    return has_word
            and block:find('"error"', 1, true)
            and (block:find('"error"%s*:%s*[{"]') or block:find('"type"%s*:%s*"error"'))
        or has_word and block:find("event: ?error")
        or block:find("response.failed", 1, true)
end

local function failed(meaning, err)
    return { reason = meaning, error = err }
end

--- The failure that a stream has reported up to the end of a block, too late for another attempt.
-- @param failure table|nil what this function returned for the block before
-- @param block string
-- @return table|nil { reason = "throttled" or "server_error", error }
function _M.failure_after(failure, block)
    local is_settled = failure and failure.error ~= UNEXPLAINED
    if is_settled or not may_hold_error(block) then
        return failure
    end
    for event in sse.events(block) do
        local kind, meaning, err = classify(event)
        if kind == "failure" and meaning ~= "not_found" then
            return failed(meaning, err)
        end
        if kind == "unexplained" then
            failure = failed("server_error", UNEXPLAINED)
        elseif err then
            failure = nil
        end
    end
    return failure
end

-- What a stream that ends before any output comes to.
local function ended(err)
    return {
        reason = err == "timeout" and "timeout" or "reset",
        error = { message = err or "the stream ended before any output" },
    }
end

--- Reads until the stream's nature is known.
-- @param body table whose `next` reads the stream (attempt/answer_body.lua)
-- @param splitter table
-- @param limit_ms number how long after the first byte the client may be kept waiting; 0 probes nothing. More than
--   MOST_HELD_BYTES of preamble end the probe, too.
-- @param silence_seconds number|nil the longest wait for the first byte; then the stream starts, so that the client
--   gets heartbeats
-- @return table { held = list of blocks to send first, reason = nil } when the stream is for the client, else
--   { reason, error } with reason "throttled", "server_error", "not_found", "timeout" or "reset"
function _M.run(body, splitter, limit_ms, silence_seconds)
    local held, held_bytes = {}, 0
    if limit_ms == 0 then
        return { held = held }
    end

    local deadline, kind
    repeat
        local chunk, err = body:next(deadline and math_max(deadline - ngx_now(), 0) or silence_seconds)
        if not chunk and kind == "unexplained" then
            return failed("server_error", UNEXPLAINED)
        end
        if err == "idle" then
            return { held = held }
        end
        if not chunk then
            return ended(err)
        end

        deadline = deadline or ngx_now() + limit_ms / 1000
        local block = splitter:push(chunk)
        if block then
            held[#held + 1] = block
            held_bytes = held_bytes + #block
            local meaning, stream_err
            kind, meaning, stream_err = inspect(block, kind == "unexplained")
            if kind == "output" then
                return { held = held }
            end
            if kind == "failure" then
                return failed(meaning, stream_err)
            end
        end
    until held_bytes > MOST_HELD_BYTES
    return { held = held }
end

return _M
