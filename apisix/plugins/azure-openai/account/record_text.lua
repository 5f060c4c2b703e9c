--- Writes a record twice: as a line of JSON, and as the attributes of an OTLP log record.
--
-- What many requests share (deployment, backend, outcome …) is written once and kept: encoders for any value would cost
-- each request more than all the rest of its telemetry.
local core = require("apisix.core")
local otlp = require("apisix.plugins.azure-openai.account.otlp")
local memo = require("apisix.plugins.azure-openai.base.memo")
local string_buffer = require("string.buffer")

local ipairs = ipairs
local math_floor = math.floor
local tostring = tostring
local type = type
local table_concat = table.concat
local json_encode = core.json.encode
local put = otlp.put
-- A text in quotes, with escapes.
local quoted = memo.of(json_encode)

-- LuaJIT writes larger numbers with an exponent.
local LARGEST_PLAIN = 1e14

-- The fields of which there are few values.
local SHARED = {
    "lane",
    "route",
    "method",
    "status",
    "deployment",
    "served_deployment",
    "operation",
    "model",
    "backend",
    "region",
    "streamed",
    "uncounted",
    "outcome",
    "error",
}

-- A field in both forms.
local function field(name, kind, prefix)
    return {
        name = name,
        is_text = kind == "text",
        member = ',"' .. name .. '":',
        attribute = otlp.attribute(otlp.IN_LOG, (prefix or "") .. name, kind),
    }
end

-- The other fields, whose values need no escapes. Ids come last, because LuaJIT tells long strings apart by a few of
-- their bytes, and by the last ones always.
local OWN = {
    field("time", "text"),
    field("client_address", "text"),
    field("cost_usd", "double"),
    field("first_token_ms", "integer"),
    field("total_ms", "integer"),
    field("bytes_in", "integer"),
    field("bytes_out", "integer"),
    field("backend_request_id", "text"),
    field("request_id", "text"),
}

local TOKENS = "tokens."
local TOKEN_FIELDS = {
    field("prompt", "integer", TOKENS),
    field("completion", "integer", TOKENS),
    field("cached", "integer", TOKENS),
    field("cache_write", "integer", TOKENS),
    field("reasoning", "integer", TOKENS),
    field("audio_prompt", "integer", TOKENS),
    field("audio_completion", "integer", TOKENS),
    field("audio_cached", "integer", TOKENS),
    field("image_prompt", "integer", TOKENS),
    field("image_completion", "integer", TOKENS),
    field("seconds", "double", TOKENS),
    field("characters", "integer", TOKENS),
    field("images", "integer", TOKENS),
    field("video_seconds", "double", TOKENS),
    field("large_video_seconds", "double", TOKENS),
    field("web_searches", "integer", TOKENS),
    field("estimated", "boolean", TOKENS),
}
-- Every usage has it.
local TOTAL = field("total", "integer", TOKENS)
-- Their JSON is put together for each record.
local PATH, ATTEMPTS = field("path", "text"), field("attempts", "text")
-- There may be thousands of clients.
local CLIENT = field("client", "text")

-- Stands in a key for a field that is not there. No name has such a byte, and no name but that of an operation has line
-- ends, so no two records have one key.
local NOTHING = "\0"

-- Clients can invent names, also long ones. All kept texts are forgotten when there are so many.
local MOST_KEPT = 500
local LONGEST_KEPT_BYTES = 1024

local _M = {}

local kept, kept_count = {}, 0
-- The fields of the record before, and their texts: most are alike.
local last_values, last_texts = {}, nil
local key_parts = {}
-- Nothing waits between the first part of a text and the whole, so all requests share these.
local line, attempts_buffer = string_buffer.new(), string_buffer.new()

local function write_shared(record)
    local members, message = {}, string_buffer.new()
    local attributes = otlp.attributes(otlp.IN_LOG, message)
    for _, name in ipairs(SHARED) do
        members[name] = record[name]
        attributes:add(name, record[name])
    end
    return { members = json_encode(members):sub(2, -2), attributes = message:get() }
end

-- Notes the fields of a record. Returns whether one of them has another value than in the record before.
local function note_values(record)
    local is_other = false
    for index, name in ipairs(SHARED) do
        local value = record[name]
        if value == nil then
            value = NOTHING
        end
        if value ~= last_values[index] then
            last_values[index], is_other = value, true
        end
    end
    return is_other
end

local function find_shared(record)
    for index, value in ipairs(last_values) do
        key_parts[index] = tostring(value)
    end
    local key = table_concat(key_parts, "\n")
    if #key > LONGEST_KEPT_BYTES then
        return write_shared(record)
    end
    local texts = kept[key]
    if not texts then
        if kept_count == MOST_KEPT then
            kept, kept_count = {}, 0
        end
        texts = write_shared(record)
        kept[key], kept_count = texts, kept_count + 1
    end
    return texts
end

local function shared_texts(record)
    if note_values(record) or not last_texts then
        -- Should it fail, the texts of another record must not stand for this one.
        last_texts = nil
        last_texts = find_shared(record)
    end
    return last_texts
end

-- What a buffer writes as JSON has it: 1e15 -> "1000000000000000".
local function plain(value)
    if type(value) == "boolean" then
        return value and "true" or "false"
    end
    local is_large = type(value) == "number" and value >= LARGEST_PLAIN
    return is_large and ("%.0f"):format(value) or value
end

-- Adds the members that there are: { prompt = 1 } -> ',"prompt":1'
local function add_members(fields, values)
    for _, one in ipairs(fields) do
        local value = values[one.name]
        if value ~= nil then
            if one.is_text then
                line:put(one.member, '"', value, '"')
            else
                line:put(one.member, plain(value))
            end
        end
    end
end

local function put_attributes(message, fields, values)
    for _, one in ipairs(fields) do
        local value = values[one.name]
        if value ~= nil then
            put(message, one.attribute, value)
        end
    end
end

local function put_attempt(attempt)
    local status, reason = attempt.status, attempt.reason
    local milliseconds = math_floor(attempt.seconds * 1000 + 0.5)
    attempts_buffer:put('{"backend":', quoted(attempt.backend), ',"ms":', milliseconds)
    if reason then
        attempts_buffer:put(',"reason":"', reason, '"')
    end
    attempts_buffer:put(',"status":', type(status) == "number" and status or quoted(status), "}")
end

local function write_attempts(trail)
    attempts_buffer:reset():put("[")
    for index, attempt in ipairs(trail) do
        if index > 1 then
            attempts_buffer:put(",")
        end
        put_attempt(attempt)
    end
    attempts_buffer:put("]")
end

local function line_of(record, shared)
    line:reset():put("{", shared.members)
    if record.client then
        line:put(CLIENT.member, quoted(record.client))
    end
    line:put(PATH.member, quoted(record.path), ATTEMPTS.member, attempts_buffer)
    if record.tokens then
        line:put(',"tokens":{"total":', plain(record.tokens.total))
        add_members(TOKEN_FIELDS, record.tokens)
        line:put("}")
    end
    add_members(OWN, record)
    return line:put("}"):get()
end

local function put_record(message, record, shared)
    message:put(shared.attributes)
    if record.client then
        put(message, CLIENT.attribute, record.client)
    end
    put(message, PATH.attribute, record.path)
    put(message, ATTEMPTS.attribute, attempts_buffer)
    if record.tokens then
        put(message, TOTAL.attribute, record.tokens.total)
        put_attributes(message, TOKEN_FIELDS, record.tokens)
    end
    put_attributes(message, OWN, record)
end

--- The texts of a record.
-- @param record table as account/record.lua makes it
-- @param trail TrailEntry[]
-- @param message string.buffer|nil gets the attributes in the place IN_LOG (account/otlp.lua). The attempts are one
--   text in them: OTLP has lists, but Application Insights has none.
-- @return string the line: {"client":"c", …, "attempts":[…], …}
function _M.write(record, trail, message)
    local shared = shared_texts(record)
    write_attempts(trail)
    if message then
        put_record(message, record, shared)
    end
    return line_of(record, shared)
end

return _M
