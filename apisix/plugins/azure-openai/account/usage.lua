--- Token usage of an answer: as the backend reports it, else estimated and marked so.
local core = require("apisix.core")
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")
local sse = require("apisix.plugins.azure-openai.answer.sse")

local ngx = ngx
local type = type
local table_concat = table.concat
local math_ceil = math.ceil

-- The first api-version that accepts stream_options on the deployments surface.
local FIRST_VERSION_WITH_STREAM_OPTIONS = "2024-09-01"
local USAGE = '"usage"'
-- English prose has about four bytes a token.
local BYTES_PER_TOKEN = 4
-- What stands before the bytes of a data URL.
local BASE64 = ";base64,"

local _M = {}

local function integer(value)
    return type(value) == "number" and value or 0
end

local function detail(usage, group, name)
    local details = usage[group]
    return type(details) == "table" and integer(details[name]) or 0
end

-- Chat counts "prompt" and "completion", Responses "input" and "output"; both mean the same.
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

-- `"usage": null` stands in every chunk; only an object is worth a look.
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

--- The usage that a JSON answer reports.
-- @param body string
-- @return table|nil { prompt, completion, total, cached, reasoning (tokens), estimated }
function _M.of_body(body)
    if not has_usage(body) or body:byte(1) ~= 123 then
        return nil
    end
    local ok, text = pcall(json_edit.get, body, "usage")
    local usage = ok and text and core.json.decode(text)
    return type(usage) == "table" and normalise(usage) or nil
end

-- Bytes of a request body that are read by the model as text: images and files are inside as base64.
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

--- A guess, for streams that do not report their usage.
-- @param body table|nil the request body, as `request_body` makes it
-- @param events number how many events the client got; models send about a token in each
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

local function accepts_stream_options(kind, ctx)
    if kind == "v1" then
        return true
    end
    local version = ctx.var.arg_api_version or ctx.var["arg_api-version"]
    return type(version) == "string" and version:sub(1, 10) >= FIRST_VERSION_WITH_STREAM_OPTIONS
end

--- Asks for the usage of a stream where that is possible and the client has not decided itself.
-- @param kind string surface
-- @param operation string
-- @param decoded table the request body
-- @param text string the request body
-- @return string the body to send
-- @return boolean whether the usage chunk has to be kept from the client
function _M.request(ctx, kind, operation, decoded, text)
    local options = decoded.stream_options
    local is_undecided = options == nil
        or options == ngx.null
        or (type(options) == "table" and options.include_usage == nil)
    if
        decoded.stream ~= true
        or (operation ~= "chat/completions" and operation ~= "completions")
        or not is_undecided
        or not accepts_stream_options(kind, ctx)
    then
        return text, false
    end

    local asked = { include_usage = true }
    if type(options) == "table" then
        for name, value in pairs(options) do
            asked[name] = value
        end
    end
    return json_edit.set(text, "stream_options", asked), true
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
-- @param hide boolean whether the chunk that only carries usage is taken out
-- @return string the block for the client, "" when nothing is left
-- @return table|nil usage
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
