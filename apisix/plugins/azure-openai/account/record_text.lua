--- Writes a record twice: as a line of JSON, and as the attributes of an OTLP log record.
--
-- What many requests share (deployment, backend, outcome …) is written once and kept: encoders for any value would cost
-- each request more than all the rest of its telemetry.
local core = require("apisix.core")
local otlp = require("apisix.plugins.azure-openai.account.otlp")
local memo = require("apisix.plugins.azure-openai.base.memo")

local ipairs = ipairs
local math_floor = math.floor
local tostring = tostring
local type = type
local table_concat = table.concat
local json_encode = core.json.encode
local head = otlp.head
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
    local members, attributes = {}, otlp.attributes(otlp.IN_LOG)
    for _, name in ipairs(SHARED) do
        members[name] = record[name]
        attributes:add(name, record[name])
    end
    return { members = json_encode(members):sub(2, -2), attributes = attributes:text() }
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

-- 1e15 -> "1000000000000000"
local function digits(value)
    local is_large = type(value) == "number" and value >= LARGEST_PLAIN
    return is_large and ("%.0f"):format(value) or tostring(value)
end

-- Adds the members that there are: { prompt = 1 } -> ',"prompt":1'
local function add_members(fields, values)
    for _, one in ipairs(fields) do
        local value = values[one.name]
        if value ~= nil then
            add(one.member)
            if one.is_text then
                add('"')
                add(value)
                add('"')
            else
                add(digits(value))
            end
        end
    end
end

local function add_attribute(one, value)
    local text = one.attribute.kind.write(value)
    add(head(one.attribute, #text))
    add(text)
end

local function add_attributes(fields, values)
    for _, one in ipairs(fields) do
        local value = values[one.name]
        if value ~= nil then
            add_attribute(one, value)
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

local function line_of(record, shared, attempts)
    add("{")
    add(shared.members)
    if record.client then
        add(CLIENT.member)
        add(quoted(record.client))
    end
    add(PATH.member)
    add(quoted(record.path))
    add(ATTEMPTS.member)
    add(attempts)
    if record.tokens then
        add(',"tokens":{"total":')
        add(digits(record.tokens.total))
        add_members(TOKEN_FIELDS, record.tokens)
        add("}")
    end
    add_members(OWN, record)
    add("}")
    return take()
end

local function attributes_of(record, shared, attempts)
    add(shared.attributes)
    if record.client then
        add_attribute(CLIENT, record.client)
    end
    add_attribute(PATH, record.path)
    add_attribute(ATTEMPTS, attempts)
    if record.tokens then
        add_attribute(TOTAL, record.tokens.total)
        add_attributes(TOKEN_FIELDS, record.tokens)
    end
    add_attributes(OWN, record)
    return take()
end

--- The texts of a record.
-- @param record table as account/record.lua makes it
-- @param trail TrailEntry[]
-- @param has_attributes boolean whether the attributes are wanted, too
-- @return string the line: {"client":"c", …, "attempts":[…], …}
-- @return string|nil attributes in the place IN_LOG (account/otlp.lua). The attempts are one text in them: OTLP has
--   lists, but Application Insights has none.
function _M.of(record, trail, has_attributes)
    -- Should an earlier record have failed in the middle, nothing of it is left.
    count = 0
    local shared, attempts = shared_texts(record), attempts_text(trail)
    return line_of(record, shared, attempts),
        has_attributes and attributes_of(record, shared, attempts) or nil
end

return _M
