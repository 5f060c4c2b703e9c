--- Reads a 200 event stream up to its first output, since Azure can report throttling or a fault there.
local core = require("apisix.core")
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local sse = require("apisix.plugins.azure-openai.answer.sse")

local ngx = ngx
local ngx_now = ngx.now
local next = next
local type = type
local tostring = tostring
local ipairs = ipairs
local pairs = pairs
local math_max = math.max
local has_prefix = core.string.has_prefix

-- Preamble is held in memory. A Responses stream repeats the request's instructions and tools in it, twice.
local MOST_HELD_BYTES = 1024 * 1024

local PREAMBLE = {
    ["response.created"] = true,
    ["response.queued"] = true,
    ["response.in_progress"] = true,
}

local THROTTLE_CODES = {
    rate_limit_exceeded = true,
    too_many_requests = true,
    rate_limit_error = true,
    ratelimitreached = true,
    insufficient_quota = true,
    ["429"] = true,
}
local SERVER_CODES =
    { server_error = true, internal_error = true, internal_server_error = true, ["500"] = true }
-- Phrases that mean throttling in errors without a telling code.
local THROTTLE_PHRASES = { "rate limit", "too many requests", "high demand", "retry after" }

-- Errors that every backend would repeat, because the request is at fault.
local CLIENT_CODES = {
    content_filter = true,
    context_length_exceeded = true,
    empty_image_file = true,
    failed_to_download_image = true,
    ["400"] = true,
}
-- invalid_prompt, invalid_image_url, unsupported_parameter, image_too_large … (ResponseErrorCode in OpenAI's API).
local CLIENT_CODE_PREFIXES = { "invalid_", "unsupported_", "image_" }

local _M = {}

local function lower(value)
    return value ~= nil and tostring(value):lower() or ""
end

-- The error object of an event in any of its forms: nested, flat, inside a response, message only.
local function error_of(event_type, decoded)
    local kind = decoded.type or event_type
    if kind == "response.failed" then
        local response = type(decoded.response) == "table" and decoded.response or {}
        return type(response.error) == "table" and response.error or { message = "the response failed" }
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

local function is_client_code(code)
    for _, prefix in ipairs(CLIENT_CODE_PREFIXES) do
        if has_prefix(code, prefix) then
            return true
        end
    end
    return CLIENT_CODES[code]
end

local function error_reason(err)
    local code, kind, message = lower(err.code), lower(err.type), lower(err.message)
    if THROTTLE_CODES[code] or THROTTLE_CODES[kind] then
        return "throttled"
    end
    if is_client_code(code) or is_client_code(kind) then
        return nil
    end
    if SERVER_CODES[code] then
        return "server_error"
    end
    for _, phrase in ipairs(THROTTLE_PHRASES) do
        if message:find(phrase, 1, true) then
            return "throttled"
        end
    end
    return "server_error"
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

local function is_preamble(event_type, decoded)
    if PREAMBLE[decoded.type or event_type] then
        return true
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

--- Classifies one event:
--
--     data: {"type":"response.created"} -> "preamble"
--     data: {"error":{"code":"429"}}    -> "error", "throttled", { code = "429" }
--
-- @return string "preamble" (decide later), "output" or "error"
-- @return string|nil reason of the error: "throttled" or "server_error"
-- @return table|nil the error object
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
        local reason = error_reason(err)
        if reason then
            return "error", reason, err
        end
        return "output"
    end
    return is_preamble(event_type, decoded) and "preamble" or "output"
end

local function inspect(block)
    if sse.count(block) == 0 then
        return "preamble"
    end
    for event in sse.events(block) do
        local kind, reason, err = classify(event)
        if kind ~= "preamble" then
            return kind, reason, err
        end
    end
    return "preamble"
end

--- Whether a block of events holds more than preamble.
-- @return boolean
function _M.has_output(block)
    return inspect(block) ~= "preamble"
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
--   { reason, error } with reason "throttled", "server_error", "timeout" or "reset"
function _M.run(body, splitter, limit_ms, silence_seconds)
    local held, held_bytes = {}, 0
    if limit_ms == 0 then
        return { held = held }
    end

    local deadline
    repeat
        local chunk, err = body:next(deadline and math_max(deadline - ngx_now(), 0) or silence_seconds)
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
            local kind, reason, stream_err = inspect(block)
            if kind == "output" then
                return { held = held }
            end
            if kind == "error" then
                return { reason = reason, error = stream_err }
            end
        end
    until held_bytes > MOST_HELD_BYTES
    return { held = held }
end

return _M
