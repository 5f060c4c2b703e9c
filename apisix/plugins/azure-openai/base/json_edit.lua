--- Reads and changes single top-level members of a JSON object without re-encoding the rest.
--
-- Re-encoding would reorder keys and round large integers; a request that only needs another `model` keeps every
-- other byte. The text must be valid JSON: callers have decoded it before.
local core = require("apisix.core")

local _M = {}

-- Position after the string that starts at `position`.
local function skip_string(text, position)
    -- Prompts are long: a plain search for quotes is much faster than one for quotes and backslashes.
    local quote = position
    local before
    repeat
        quote = text:find('"', quote + 1, true)
        before = quote - 1
        while text:byte(before) == 92 do
            before = before - 1
        end
    until (quote - before) % 2 == 1
    return quote + 1
end

-- Position after the object or array that starts at `position`.
local function skip_nested(text, position)
    local depth = 0
    repeat
        position = text:find('["{}%[%]]', position)
        local byte = text:byte(position)
        if byte == 34 then
            position = skip_string(text, position)
        else
            depth = depth + ((byte == 123 or byte == 91) and 1 or -1)
            position = position + 1
        end
    until depth == 0
    return position
end

local function skip_value(text, position)
    local byte = text:byte(position)
    if byte == 34 then
        return skip_string(text, position)
    end
    if byte == 123 or byte == 91 then
        return skip_nested(text, position)
    end
    return text:find("[%s,}%]]", position)
end

-- Finds the value of a top-level key. The last of several equal keys wins, as in JSON decoders.
local function locate(text, wanted)
    local start, stop
    local position = text:match("^%s*{%s*()")
    while position and text:byte(position) == 34 do
        local key_end = skip_string(text, position)
        local key = core.json.decode(text:sub(position, key_end - 1))
        local value_start = text:match("^%s*:%s*()", key_end)
        local value_end = skip_value(text, value_start)
        if key == wanted then
            start, stop = value_start, value_end - 1
        end
        position = text:match("^%s*,%s*()", value_end)
    end
    return start, stop
end

--- The raw JSON text of a top-level member.
-- @return string|nil
function _M.get(text, key)
    local start, stop = locate(text, key)
    return start and text:sub(start, stop)
end

--- The raw JSON texts of the elements of a list: '[{"a":1}, 2]' -> { '{"a":1}', "2" }.
-- @param text string JSON list
-- @return string[]
function _M.elements(text)
    local elements = {}
    local position = text:match("^%s*%[%s*()")
    while position and text:byte(position) ~= 93 do
        local stop = skip_value(text, position)
        elements[#elements + 1] = text:sub(position, stop - 1)
        position = text:match("^%s*,%s*()", stop)
    end
    return elements
end

--- Sets a top-level member to a raw JSON text, in place when the member exists, else as the first one.
-- @param text string JSON object
-- @param key string
-- @param encoded string
-- @return string
function _M.set_raw(text, key, encoded)
    local start, stop = locate(text, key)
    if start then
        return text:sub(1, start - 1) .. encoded .. text:sub(stop + 1)
    end

    local head = text:match("^%s*{()")
    local separator = text:match("^%s*()}", head) and "" or ","
    return text:sub(1, head - 1) .. core.json.encode(key) .. ":" .. encoded .. separator .. text:sub(head)
end

--- Sets a top-level member, in place when it exists, else as the first one.
-- @param text string JSON object
-- @param key string
-- @param value any encoded as JSON
-- @return string
function _M.set(text, key, value)
    return _M.set_raw(text, key, core.json.encode(value))
end

return _M
