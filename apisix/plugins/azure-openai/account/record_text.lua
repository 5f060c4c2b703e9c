--- Writes a record twice: as a line of JSON, and as the attributes of an OTLP log record.
--
-- Both are put together from the same texts. What many requests share (client, deployment, backend, outcome …) is
-- written once and kept: encoders for any value would cost each request more than all the rest of its telemetry.
local core = require("apisix.core")
local otlp_json = require("apisix.plugins.azure-openai.account.otlp_json")

local ipairs = ipairs
local math_floor = math.floor
local tostring = tostring
local type = type
local table_concat = table.concat
local json_encode = core.json.encode
local quoted = otlp_json.quoted

-- The fields of which there are few values.
local SHARED = {
    "client",
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

-- The texts before a field's value, of both kinds. A number has the same text in both.
local function field(name, kind, prefix)
    return {
        name = name,
        is_text = kind == "stringValue",
        is_integer = kind == "intValue",
        member = ',"' .. name .. '":',
        attribute = ',{"key":"' .. (prefix or "") .. name .. '","value":{"' .. kind .. '":',
    }
end

-- The other fields, whose values need no escapes. Ids come last, because LuaJIT tells long strings apart by a few of
-- their bytes, and by the last ones always.
local OWN = {
    field("time", "stringValue"),
    field("client_address", "stringValue"),
    field("cost_usd", "doubleValue"),
    field("first_token_ms", "intValue"),
    field("total_ms", "intValue"),
    field("bytes_in", "intValue"),
    field("bytes_out", "intValue"),
    field("backend_request_id", "stringValue"),
    field("request_id", "stringValue"),
}

local TOKENS = "tokens."
local TOKEN_FIELDS = {
    field("prompt", "intValue", TOKENS),
    field("completion", "intValue", TOKENS),
    field("cached", "intValue", TOKENS),
    field("cache_write", "intValue", TOKENS),
    field("reasoning", "intValue", TOKENS),
    field("audio_prompt", "intValue", TOKENS),
    field("audio_completion", "intValue", TOKENS),
    field("audio_cached", "intValue", TOKENS),
    field("image_prompt", "intValue", TOKENS),
    field("image_completion", "intValue", TOKENS),
    field("seconds", "doubleValue", TOKENS),
    field("characters", "intValue", TOKENS),
    field("images", "intValue", TOKENS),
    field("video_seconds", "doubleValue", TOKENS),
    field("large_video_seconds", "doubleValue", TOKENS),
    field("web_searches", "intValue", TOKENS),
    field("estimated", "boolValue", TOKENS),
}
-- Every usage has it.
local TOTAL = field("total", "intValue", TOKENS)

-- Stands in a key for a field that is not there. No name has such a byte, and no name but that of an operation has line
-- ends, so no two records have one key.
local NOTHING = "\0"

-- Clients can invent names, also long ones. All kept texts are forgotten when there are so many.
local MOST_KEPT = 500
local LONGEST_KEPT_BYTES = 1024

local _M = {}

local kept, kept_count = {}, 0
local key_parts = {}
-- What a text is put together from. Nothing waits between the first part and the whole, so all requests share it.
local parts, count = {}, 0

local function add(text)
    count = count + 1
    parts[count] = text
end

local function take()
    local text = table_concat(parts, "", 1, count)
    count = 0
    return text
end

local function write_shared(record)
    local members, attributes = {}, otlp_json.attributes()
    for _, name in ipairs(SHARED) do
        members[name] = record[name]
        attributes:add(name, record[name])
    end
    return { members = json_encode(members):sub(2, -2), attributes = attributes:json():sub(2, -2) }
end

local function shared_texts(record)
    for index, name in ipairs(SHARED) do
        local value = record[name]
        key_parts[index] = value == nil and NOTHING or tostring(value)
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

local function text_of(one, value)
    return one.is_integer and type(value) == "number" and otlp_json.integer(value) or tostring(value)
end

-- Adds the fields that there are: { prompt = 1 } -> ',"prompt":1', or the attribute.
local function add_fields(fields, values, beginning, ending)
    for _, one in ipairs(fields) do
        local value = values[one.name]
        if value ~= nil then
            add(one[beginning])
            if one.is_text then
                add('"')
                add(value)
                add('"')
            else
                add(text_of(one, value))
            end
            add(ending)
        end
    end
end

local function add_attempt(attempt)
    local status, reason = attempt.status, attempt.reason
    add('{"backend":')
    add(quoted(attempt.backend))
    add(',"ms":')
    add(math_floor(attempt.seconds * 1000 + 0.5))
    if reason then
        add(',"reason":"')
        add(reason)
        add('"')
    end
    add(',"status":')
    add(type(status) == "number" and status or quoted(status))
    add("}")
end

local function attempts_text(trail)
    add("[")
    for index, attempt in ipairs(trail) do
        if index > 1 then
            add(",")
        end
        add_attempt(attempt)
    end
    add("]")
    return take()
end

--- The texts of a record.
-- @param record table as account/record.lua makes it
-- @param trail TrailEntry[]
-- @param has_attributes boolean whether the attributes are wanted, too
-- @return string the line: {"client":"c", …, "attempts":[…], …}
-- @return string|nil OTLP attributes: [{"key":"client","value":{"stringValue":"c"}}, …]. The attempts are one string in
--   them: OTLP has lists, but Application Insights has none.
function _M.of(record, trail, has_attributes)
    -- Should an earlier record have failed in the middle, nothing of it is left.
    count = 0
    local shared, path, attempts = shared_texts(record), quoted(record.path), attempts_text(trail)
    add("{")
    add(shared.members)
    add(',"path":')
    add(path)
    add(',"attempts":')
    add(attempts)
    if record.tokens then
        add(',"tokens":{"total":')
        add(text_of(TOTAL, record.tokens.total))
        add_fields(TOKEN_FIELDS, record.tokens, "member", "")
        add("}")
    end
    add_fields(OWN, record, "member", "")
    add("}")
    local line = take()
    if not has_attributes then
        return line
    end
    add("[")
    add(shared.attributes)
    add(',{"key":"path","value":{"stringValue":')
    add(path)
    add('}},{"key":"attempts","value":{"stringValue":')
    add(json_encode(attempts))
    add("}}")
    if record.tokens then
        add(TOTAL.attribute)
        add(text_of(TOTAL, record.tokens.total))
        add("}}")
        add_fields(TOKEN_FIELDS, record.tokens, "attribute", "}}")
    end
    add_fields(OWN, record, "attribute", "}}")
    add("]")
    return line, take()
end

return _M
