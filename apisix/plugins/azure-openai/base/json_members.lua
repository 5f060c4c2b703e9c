--- Finds single members at the top of a JSON object, such as an answer, without decoding the rest.
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local json_scanner = require("apisix.plugins.azure-openai.base.json_scanner")
local pause = require("apisix.plugins.azure-openai.base.pause")

local ipairs = ipairs
local pairs = pairs
local setmetatable = setmetatable
local type = type
local math_huge = math.huge
local table_concat = table.concat
local table_sort = table.sort

-- Decoded whole, so much takes less time and memory than the search, and a megabyte at worst.
local SMALL_BYTES = 16 * 1024

--- Where a value stands in a text: the positions of its first and its last byte.
---@class Place
---@field [1] number
---@field [2] number

-- Hears the values at the top of an object or a list.
local Listener = {}
Listener.__index = Listener

local function note(self, depth, first, last)
    if depth ~= 1 then
        return
    end
    if not self.is_object then
        self.places[#self.places + 1] = { first, last }
    elseif self.wanted[self.current] then
        self.places[self.current] = { first, last }
    end
end

function Listener:name(_, name)
    self.current = name or ""
end

function Listener:string(scanner, from, to)
    note(self, scanner.depth, scanner.base + from - 1, scanner.base + to + 1)
end

function Listener:long_string(scanner, _, offset, bytes)
    note(self, scanner.depth, offset + 1, offset + bytes)
end

function Listener:other(scanner, _, from, to)
    note(self, scanner.depth, scanner.base + from, scanner.base + to)
end

function Listener:open(scanner, is_object, offset)
    self.first = offset + 1
    if scanner.depth > 1 then
        return true
    end
    self.is_object = is_object
    return is_object ~= self.is_object_wanted
end

function Listener:close(scanner, offset)
    note(self, scanner.depth - 1, self.first, offset)
end

-- The places of values in a text; nil and a message when it is no JSON. The gateway bounds answers by their bytes, so
-- they may have any number of values.
local function scan(text, wanted)
    local listener =
        setmetatable({ wanted = wanted, is_object_wanted = wanted ~= nil, places = {} }, Listener)
    local _, fault = json_scanner.scan(text, listener, pause, math_huge)
    if fault then
        return nil, fault.message
    end
    return listener.places
end

local _M = {}

--- Finds members:
--
--     locate('{"id":"a","x":1}', { x = true }) -> { x = { 15, 15 } }
--
-- @param text string
-- @param wanted table set of names
-- @return table<string, Place>|nil of duplicates the last; none when the text is no object; nil when it is no JSON
-- @return string|nil then: what is wrong
function _M.locate(text, wanted)
    return scan(text, wanted)
end

--- Decodes members:
--
--     decode('{"id":"a","usage":{"total":3},"x":1}', { usage = true }) -> { usage = { total = 3 } }
--
-- @param text string
-- @param wanted table set of names
-- @return table of duplicates the last; empty when the text is no JSON object
function _M.decode(text, wanted)
    local found = {}
    -- The decoder refuses half a surrogate pair anywhere, as in a text that was cut inside of a character.
    local whole = #text <= SMALL_BYTES and bounded_json.decode(text) or nil
    if type(whole) == "table" then
        for name, value in pairs(whole) do
            if wanted[name] then
                found[name] = value
            end
        end
        return found
    end
    for name, place in pairs(scan(text, wanted) or {}) do
        found[name] = bounded_json.decode(text:sub(place[1], place[2]))
    end
    return found
end

--- Replaces the values of members, and keeps every other byte:
--
--     replace('{"a":1,"b":2}', { b = { 12, 12 } }, { b = "[]" }) -> '{"a":1,"b":[]}'
--
-- @param text string
-- @param places table<string, Place> from `locate`
-- @param values table<string, string> JSON by name; of those that have no place nothing is written
-- @return string
function _M.replace(text, places, values)
    local edits = {}
    for name, value in pairs(values) do
        local place = places[name]
        edits[#edits + 1] = place and { first = place[1], last = place[2], value = value }
    end
    table_sort(edits, function(one, other)
        return one.first < other.first
    end)
    local parts, position = {}, 1
    for _, edit in ipairs(edits) do
        parts[#parts + 1] = text:sub(position, edit.first - 1)
        parts[#parts + 1] = edit.value
        position = edit.last + 1
    end
    parts[#parts + 1] = text:sub(position)
    return table_concat(parts)
end

--- The elements of a list as they are written, but for numbers that stand behind a number:
-- '[{"a":1}, 2]' -> { '{"a":1}', "2" }.
-- @param text string JSON list
-- @return string[]
function _M.elements(text)
    local elements = {}
    for index, place in ipairs(scan(text) or {}) do
        elements[index] = text:sub(place[1], place[2])
    end
    return elements
end

return _M
