--- Decodes JSON of a backend that may hold anything.
--
-- A decoded value can take fifty times the memory of its text: `[[],[],[], …]` does. What is told here from the text
-- before decoding is how many values it holds.
local core = require("apisix.core")

local find = string.find

-- Decoded, they take some 20 MB and 20 ms. The largest answers of models have some ten thousand.
local MOST_VALUES = 200000
-- In a shorter text there is no room for so many.
local HARMLESS_BYTES = 2 * MOST_VALUES

local _M = {}

-- Every value but the first stands behind a comma, or begins a list or an object. Those inside of strings count too.
local function holds_too_many(text)
    local position, count = 0, 0
    repeat
        position = find(text, "[,%[{]", position + 1)
        count = count + 1
    until not position or count > MOST_VALUES
    return position ~= nil
end

--- Decodes a text that does not hold too many values.
-- @param text string
-- @return any nil when it is no JSON or too much of it
function _M.decode(text)
    if #text > HARMLESS_BYTES and holds_too_many(text) then
        return nil
    end
    return (core.json.decode(text))
end

return _M
