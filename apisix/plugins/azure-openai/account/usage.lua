--- Token usage of an answer, as the backend reports it or else estimated and marked so; and the model that answered, as
--- the backend reports it, since the name of a deployment need not say so.
local core = require("apisix.core")
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")
local sse = require("apisix.plugins.azure-openai.answer.sse")

local pcall = pcall
local type = type
local table_concat = table.concat
local math_ceil = math.ceil

local USAGE = '"usage"'
-- English prose has about four bytes a token.
local BYTES_PER_TOKEN = 4
-- Stands before the bytes of a data URL.
local BASE64 = ";base64,"
-- Inside a JSON string the quotes would be escaped, so a model's own text never looks like this.
local MODEL = '"model"%s*:%s*"([^"\\]+)"'

---@class Usage
---@field prompt number tokens, as all below
---@field completion number
---@field total number
---@field cached number part of `prompt`
---@field reasoning number part of `completion`
---@field estimated boolean

local _M = {}

local function integer(value)
    return type(value) == "number" and value or 0
end

local function detail(usage, group, name)
    local details = usage[group]
    return type(details) == "table" and integer(details[name]) or 0
end

-- Chat says "prompt" and "completion", Responses "input" and "output"; they mean the same.
local function normalise(usage)
    local is_responses = usage.input_tokens ~= nil
    local prompt_details = is_responses and "input_tokens_details" or "prompt_tokens_details"
    local completion_details = is_responses and "output_tokens_details" or "completion_tokens_details"
    local prompt = integer(usage.prompt_tokens or usage.input_tokens)
    local completion = integer(usage.completion_tokens or usage.output_tokens)
    return {
        prompt = prompt,
        completion = completion,
        total = usage.total_tokens and integer(usage.total_tokens) or prompt + completion,
        cached = detail(usage, prompt_details, "cached_tokens"),
        reasoning = detail(usage, completion_details, "reasoning_tokens"),
        estimated = false,
    }
end

-- Every chunk has `"usage": null`; only an object is worth decoding.
local function has_usage(text)
    local _, stop = text:find(USAGE, 1, true)
    while stop do
        if text:find("^%s*:%s*{", stop + 1) then
            return true
        end
        _, stop = text:find(USAGE, stop + 1, true)
    end
    return false
end

-- A top-level member of a JSON answer; nil when the answer is no object or has no such member.
local function member(body, name)
    local ok, text = pcall(json_edit.get, body, name)
    return ok and text and core.json.decode(text) or nil
end

--- What a JSON answer reports:
--
--     {"model":"gpt-4o","usage":{"prompt_tokens":9, …}} -> { prompt = 9, … }, "gpt-4o"
--
-- @param body string
-- @return Usage|nil
-- @return string|nil model
function _M.of_body(body)
    if body:byte(1) ~= 123 then
        return nil, nil
    end
    local usage = has_usage(body) and member(body, "usage")
    local model = body:find(MODEL) and member(body, "model")
    return type(usage) == "table" and normalise(usage) or nil, type(model) == "string" and model or nil
end

--- The model that a block of events names first. Chunks before the first output may leave it empty.
-- @param block string
-- @return string|nil
function _M.model_of_events(block)
    return block:match(MODEL)
end

-- Bytes of a request body that the model reads as text. Images and files in base64 do not count.
local function text_bytes(body)
    local bytes, text = body.size, body.text
    local position = text and text:find(BASE64, 1, true)
    while position do
        local stop = text:find('"', position, true) or #text
        bytes = bytes - (stop - position)
        position = text:find(BASE64, stop, true)
    end
    return bytes
end

--- Estimates the usage of a stream that does not report it.
-- @param body table|nil the request body, as `request_body` makes it
-- @param events number how many events the client got; each holds about one token
-- @return Usage
function _M.estimate(body, events)
    local prompt = body and math_ceil(text_bytes(body) / BYTES_PER_TOKEN) or 0
    return {
        prompt = prompt,
        completion = events,
        total = prompt + events,
        cached = 0,
        reasoning = 0,
        estimated = true,
    }
end

local function usage_in(event)
    local data = sse.parse(event)
    local decoded = data and core.json.decode(data)
    if type(decoded) ~= "table" then
        return nil
    end
    local response = decoded.response
    local usage = decoded.usage or (type(response) == "table" and response.usage)
    return type(usage) == "table" and normalise(usage), decoded
end

local function is_usage_chunk(decoded)
    return type(decoded.choices) == "table" and #decoded.choices == 0
end

--- Looks for usage in a block of complete events; blocks without it are not decoded.
-- @param block string
-- @param hide boolean whether to take out the chunk that only carries usage
-- @return string the block for the client, "" when nothing is left
-- @return Usage|nil
function _M.of_block(block, hide)
    if not has_usage(block) then
        return block
    end

    local kept, found = {}, nil
    for event in sse.events(block) do
        local usage, decoded
        if has_usage(event) then
            usage, decoded = usage_in(event)
            found = usage or found
        end
        if not (hide and usage and is_usage_chunk(decoded)) then
            kept[#kept + 1] = event
        end
    end
    return table_concat(kept), found
end

return _M
