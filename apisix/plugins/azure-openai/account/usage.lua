--- Token usage of an answer, as the backend reports it or else estimated and marked so; and the model that answered, as
--- the backend reports it, since the name of a deployment need not say so.
local units = require("apisix.plugins.azure-openai.account.units")
local web_searches = require("apisix.plugins.azure-openai.account.web_searches")
local byte_buffer = require("apisix.plugins.azure-openai.base.byte_buffer")
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local memo = require("apisix.plugins.azure-openai.base.memo")
local json_members = require("apisix.plugins.azure-openai.base.json_members")
local sse = require("apisix.plugins.azure-openai.answer.sse")

local ipairs = ipairs
local pairs = pairs
local setmetatable = setmetatable
local type = type
local table_concat = table.concat
local math_ceil = math.ceil
local math_max = math.max
local math_min = math.min

-- Inside a JSON string the quotes would be escaped, so a model's own text never looks like this.
local MODEL = '"model"%s*:%s*"[^"\\]'
local MODEL_MEMBER = '"model"%s*:%s*"([^"\\]+)"'
local DURATION = '"duration"%s*:%s*%d'
local MODEL_NAME = "^%w[%w._:/@+-]*$"
local QUOTE = 34
local IS_TRUE = { ["true"] = true, ["false"] = false }
-- Of each end of a document that is not read whole.
local ENDS_BYTES = 64 * 1024
-- Azure's names are shorter.
local LONGEST_NAME_BYTES = 128
-- What counts in a JSON answer.
local REPORTED = { usage = true, model = true, id = true, background = true, tool_usage = true }
-- The output is worth decoding only where it tells of searches.
local REPORTED_WITH_SEARCHES = setmetatable({ output = true }, { __index = REPORTED })
-- What tells of sound and videos.
local REPORTED_WITHOUT_USAGE =
    { model = true, id = true, duration = true, object = true, status = true, seconds = true, size = true }
-- Events of a session that say what was used, and by which model: of realtime and of responses. The type is one of the
-- first members.
local DONE_EVENT = '"type"%s*:%s*"response%.(%l+)"'
local IS_DONE = { done = true, completed = true, incomplete = true, failed = true }
local TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
local TRANSCRIBED_EVENT = '"type"%s*:%s*"conversation%.item%.input_audio_transcription%.completed"'
local SESSION_EVENT = '"type"%s*:%s*"session%.created"'
local OUTPUT_EVENT = '"type"%s*:%s*"response%.[%w_.]*delta"'
-- A finished response holds the texts of its output, but no audio.
local LONGEST_SESSION_EVENT_BYTES = 1024 * 1024
-- No answer can use more: the largest context windows hold one million tokens, and an answer has at most 128 choices.
local MOST_TOKENS = 10000000
-- Sound has at most 25 MB, and a session lasts an hour.
local MOST_SECONDS = 86400

---@class Usage
---@field prompt number tokens, as all below
---@field completion number
---@field total number
---@field cached number part of `prompt`
---@field cache_write number|nil part of `prompt` beside `cached`; nil when the answer reports none, as all below
---@field reasoning number part of `completion`
---@field audio_prompt number|nil part of `prompt`; nil when the answer reports no audio, as all below
---@field audio_completion number|nil part of `completion`
---@field audio_cached number|nil part of `cached`
---@field image_prompt number|nil part of `prompt`, as the two below of theirs
---@field image_completion number|nil
---@field image_cached number|nil
---@field seconds number|nil of sound that was written down
---@field characters number|nil that were spoken (account/units.lua)
---@field images number|nil that were made without a usage (account/units.lua)
---@field video_seconds number|nil of a finished video (account/units.lua)
---@field large_video_seconds number|nil of a finished video with many pixels
---@field web_searches number|nil of a response (account/web_searches.lua)
---@field estimated boolean
---@field is_begun boolean|nil the stream has told the prompt, but not yet what the answer took

--- The stored object that reports some usage. It reports the same each time it is read.
---@class UsageSource
---@field id string|nil
---@field is_background boolean|nil whether the model works on it after its request has ended; nil when it does not say

local _M = {}

-- A number of tokens. Whatever cannot be one counts as 0: negative and broken numbers, texts, 1e15.
local function tokens(value)
    if type(value) == "number" and value >= 0 and value <= MOST_TOKENS and value % 1 == 0 then
        return value
    end
    return 0
end

local function object(value)
    return type(value) == "table" and value or {}
end

-- A part of some tokens, or nil when it is not reported.
local function part(value, whole)
    return value ~= nil and math_min(tokens(value), whole) or nil
end

local function seconds(value)
    return type(value) == "number" and value >= 0 and value <= MOST_SECONDS and value or nil
end

local OF_MESSAGE =
    { "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens" }

-- Anthropic does not count what the cache was read for, and what was written into it, among the input.
local function normalise_message(usage)
    local cached, written = tokens(usage.cache_read_input_tokens), tokens(usage.cache_creation_input_tokens)
    local prompt = tokens(usage.input_tokens) + cached + written
    local completion = tokens(usage.output_tokens)
    return {
        prompt = prompt,
        completion = completion,
        total = prompt + completion,
        cached = cached,
        cache_write = written > 0 and written or nil,
        reasoning = 0,
        estimated = false,
    }
end

local function is_of_message(usage)
    return usage.cache_read_input_tokens ~= nil or usage.cache_creation_input_tokens ~= nil
end

-- Chat says "prompt" and "completion", Responses "input" and "output", Realtime "input_token_details" without the "s".
local function normalise(usage)
    if is_of_message(usage) then
        return normalise_message(usage)
    end
    local prompt_details =
        object(usage.input_tokens_details or usage.input_token_details or usage.prompt_tokens_details)
    local completion_details =
        object(usage.output_tokens_details or usage.output_token_details or usage.completion_tokens_details)
    local prompt = tokens(usage.prompt_tokens or usage.input_tokens)
    local completion = tokens(usage.completion_tokens or usage.output_tokens)
    local cached = part(prompt_details.cached_tokens, prompt) or 0
    return {
        prompt = prompt,
        completion = completion,
        total = math_max(tokens(usage.total_tokens), prompt + completion),
        cached = cached,
        cache_write = part(prompt_details.cache_write_tokens, prompt - cached),
        reasoning = part(completion_details.reasoning_tokens, completion) or 0,
        audio_prompt = part(prompt_details.audio_tokens, prompt),
        audio_completion = part(completion_details.audio_tokens, completion),
        audio_cached = part(object(prompt_details.cached_tokens_details).audio_tokens, cached),
        image_prompt = part(prompt_details.image_tokens, prompt),
        image_completion = part(completion_details.image_tokens, completion),
        image_cached = part(object(prompt_details.cached_tokens_details).image_tokens, cached),
        seconds = usage.type == "duration" and seconds(usage.seconds) or nil,
        estimated = false,
    }
end

-- The usage of a response, with the searches that it reports elsewhere.
local function of_response(response)
    local usage = normalise(response.usage)
    usage.web_searches = web_searches.of(response)
    return usage
end

local is_model_name = memo.of(function(text)
    return #text <= LONGEST_NAME_BYTES and text:find(MODEL_NAME) ~= nil
end)

local function model_name(value)
    return type(value) == "string" and is_model_name(value) and value or nil
end

local function source(id, background)
    local is_background
    if type(background) == "boolean" then
        is_background = background
    end
    return { id = type(id) == "string" and id or nil, is_background = is_background }
end

-- Position behind the next name of a usage that is an object, from a position on; nil when there is none. Every chunk
-- has `"usage": null`. The search is for a letter that is rare: quotes would stop it at every name and value.
local function usage_in_text(text, from)
    local first, last = text:find('usage"', from, true)
    while first do
        if text:byte(first - 1) == QUOTE and text:find("^%s*:%s*{", last + 1) then
            return last
        end
        first, last = text:find('usage"', last + 1, true)
    end
    return nil
end

--- What a JSON answer of an inference operation reports:
--
--     {"model":"gpt-4o","usage":{"prompt_tokens":9, …}} -> { prompt = 9, … }, "gpt-4o"
--
-- @param body string
-- @return Usage|nil
-- @return string|nil model
-- @return UsageSource|nil beside a usage
function _M.of_body(body)
    if body:byte(1) ~= 123 then
        return nil
    end
    local wanted = REPORTED_WITHOUT_USAGE
    if usage_in_text(body, 1) then
        wanted = body:find(web_searches.MARK, 1, true) and REPORTED_WITH_SEARCHES or REPORTED
    elseif not body:find(MODEL) and not body:find(DURATION) then
        return nil
    end
    local members = json_members.decode(body, wanted)
    local model = model_name(members.model)
    if not members.usage and seconds(members.duration) then
        -- A transcription of an older kind.
        members.usage = { type = "duration", seconds = members.duration }
    end
    if type(members.usage) == "table" then
        return of_response(members), model, source(members.id, members.background)
    end
    local of_video = units.of_video(members)
    return of_video, model, of_video and source(members.id)
end

--- Adds two usages; the sum is estimated when one of them is.
-- @param first Usage|nil
-- @param second Usage
-- @return Usage
function _M.sum(first, second)
    if not first then
        return second
    end
    local sum = { estimated = first.estimated or second.estimated }
    for _, usage in ipairs({ first, second }) do
        for kind, tokens_of_kind in pairs(usage) do
            if type(tokens_of_kind) == "number" then
                sum[kind] = (sum[kind] or 0) + tokens_of_kind
            end
        end
    end
    return sum
end

local function says_what_was_used(event)
    return IS_DONE[event:match(DONE_EVENT)]
        or event:find(TRANSCRIBED_EVENT) ~= nil
        or event:find(SESSION_EVENT) ~= nil
end

--- How many bytes of an event of a realtime session are worth keeping.
-- @param head string its beginning
-- @return number
function _M.wanted_of_session_event(head)
    return says_what_was_used(head) and LONGEST_SESSION_EVENT_BYTES or 0
end

--- What an event that a backend sends in a realtime session says:
--
--     {"type":"response.done","response":{"usage":{"input_tokens":9, …}}} -> { prompt = 9, … }
--     {"type":"session.created","session":{"model":"gpt-realtime"}} -> nil, "gpt-realtime"
--
-- @param text string the event, as far as `wanted_of_session_event` has it kept
-- @return Usage|nil of the response that is done, or of the user's speech that a second model has written down
-- @return string|nil model of the session
-- @return boolean whether it is a piece of a response's output
-- @return boolean whether a response is done, and its output is in the usage
function _M.of_session_event(text)
    if not says_what_was_used(text) then
        return nil, nil, text:find(OUTPUT_EVENT) ~= nil, false
    end
    local event = object(bounded_json.decode(text))
    local response = object(event.response)
    local is_transcribed = event.type == TRANSCRIBED
    local is_done = event.type ~= "session.created" and not is_transcribed
    local usage = is_transcribed and event.usage or is_done and response.usage
    usage = type(usage) == "table"
            and of_response({
                usage = usage,
                tool_usage = response.tool_usage,
                output = response.output,
            })
        or nil
    return usage, model_name(object(event.session).model or response.model), false, is_done and usage ~= nil
end

local Ends = {}
Ends.__index = Ends

--- Adds the next piece of a document.
function Ends:add(piece)
    if not self.beginning then
        self.beginning = piece
    end
    self.rest:add(piece)
    if self.rest.size > 2 * ENDS_BYTES then
        self.rest:add(self.rest:take():sub(-ENDS_BYTES))
    end
end

--- Takes both ends of the document.
-- @return string its first piece
-- @return string its last 64 KiB, at least
function Ends:take()
    return self.beginning or "", self.rest:take()
end

--- Keeps the two ends of a JSON answer that is too large to be read whole.
-- @return table with `add(piece)` and `take()`
function _M.document_ends()
    return setmetatable({ rest = byte_buffer.new() }, Ends)
end

-- The last usage object in a text.
local function last_usage(text)
    local found
    for start in text:gmatch('"usage"%s*:%s*()%{') do
        found = start
    end
    return found and bounded_json.decode(text:match("^%b{}", found) or "")
end

--- What a JSON answer that was not read whole reports. Its usage is one of the last members; its id one of the first.
-- @param beginning string its first piece
-- @param rest string its end
-- @return Usage|nil
-- @return string|nil model
-- @return UsageSource|nil beside a usage
function _M.of_ends(beginning, rest)
    local usage = last_usage(rest)
    local model = rest:match(MODEL_MEMBER) or beginning:match(MODEL_MEMBER)
    if type(usage) ~= "table" then
        return nil, model_name(model)
    end
    local background = (beginning .. rest):match('"background"%s*:%s*(%a+)')
    return normalise(usage),
        model_name(model),
        source(beginning:match('"id"%s*:%s*"([^"]+)"'), IS_TRUE[background])
end

local function decode(event)
    local data = sse.parse(event)
    local decoded = data and bounded_json.decode(data)
    return type(decoded) == "table" and decoded or nil
end

--- The model that a block of events names first. Chunks before the first output may leave it empty.
-- @param block string
-- @return string|nil
function _M.model_of_events(block)
    if not block:find(MODEL) then
        return nil
    end
    for event in sse.events(block) do
        -- Decoded, because a client's own metadata can have a member "model", too.
        local decoded = event:find(MODEL) and decode(event)
        local model = decoded
            and model_name(decoded.model or object(decoded.response).model or object(decoded.message).model)
        if model then
            return model
        end
    end
    return nil
end

-- What stands around the words of a delta; and English prose has about four bytes a token.
local DELTA_BYTES, BYTES_PER_TOKEN = 125, 4

--- About how many tokens the deltas of a message in a block hold. One of Claude's has a few words, not one token.
-- @param block string complete events
-- @return number
function _M.tokens_of_deltas(block)
    local bytes = 0
    for event in sse.events(block) do
        -- The signature of a thought is none of the model's words.
        if event:find("^event: ?content_block_delta") and not event:find('"signature_delta"', 1, true) then
            bytes = bytes + math_max(#event - DELTA_BYTES, 0)
        end
    end
    return math_ceil(bytes / BYTES_PER_TOKEN)
end

--- Completes the usage of a stream that was cut before it could tell what its answer took.
-- @param usage Usage with `is_begun`
-- @param events number how many events the client got
-- @param written number what `tokens_of_deltas` has told of these
-- @return Usage
function _M.complete(usage, events, written)
    local completed = _M.sum(nil, usage)
    completed.completion = math_max(usage.completion, events, written)
    completed.total = completed.prompt + completed.completion
    completed.is_begun, completed.estimated = nil, true
    return completed
end

--- Estimates the usage of a stream that does not report it.
-- @param prompt number tokens
-- @param events number how many events the client got; each holds about one token
-- @return Usage
function _M.estimate(prompt, events)
    return {
        prompt = prompt,
        completion = events,
        total = prompt + events,
        cached = 0,
        reasoning = 0,
        estimated = true,
    }
end

-- What a stream of a message has used so far: its first event tells of the prompt, a later one of the answer, and older
-- models repeat nothing there.
local function usage_of_message(decoded, told)
    local usage = object(decoded.type == "message_start" and object(decoded.message).usage or decoded.usage)
    for _, name in ipairs(OF_MESSAGE) do
        -- What an event does not know is null there.
        told[name] = type(usage[name]) == "number" and usage[name] or told[name]
    end
    local sum = normalise_message(told)
    sum.is_begun = decoded.type == "message_start" or nil
    return sum
end

local IS_OF_MESSAGE = { message_start = true, message_delta = true }

-- Returns usage, its source and the decoded event.
local function usage_in(event, told)
    local decoded = decode(event)
    if not decoded then
        return nil
    end
    if IS_OF_MESSAGE[decoded.type] then
        return usage_of_message(decoded, told), source(), decoded
    end
    local holder = type(decoded.usage) == "table" and decoded or object(decoded.response)
    if type(holder.usage) ~= "table" then
        return nil
    end
    return of_response(holder), source(holder.id, holder.background), decoded
end

local function is_usage_chunk(decoded)
    return type(decoded.choices) == "table" and #decoded.choices == 0
end

--- Looks for usage in a block of complete events; blocks without it are not decoded.
-- @param block string
-- @param hide boolean whether to take out the chunk that only carries usage
-- @param told table empty at the beginning of a stream; keeps what its events have told
-- @return string the block for the client, "" when nothing is left
-- @return Usage|nil
-- @return UsageSource|nil beside a usage
function _M.of_block(block, hide, told)
    local position = usage_in_text(block, 1)
    if not position then
        return block
    end
    local bounds, found, found_source = sse.finder(block), nil, nil
    -- A list: a text that grows with each event would be copied as often.
    local kept, kept_to = {}, 0
    while position do
        local first, last = bounds(position)
        local usage, usage_source, decoded = usage_in(block:sub(first, last), told)
        if usage then
            found, found_source = usage, usage_source
        end
        if hide and usage and is_usage_chunk(decoded) then
            kept[#kept + 1], kept_to = block:sub(kept_to + 1, first - 1), last
        end
        position = usage_in_text(block, last + 1)
    end
    if kept_to == 0 then
        return block, found, found_source
    end
    kept[#kept + 1] = block:sub(kept_to + 1)
    return table_concat(kept), found, found_source
end

return _M
