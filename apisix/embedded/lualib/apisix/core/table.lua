--- Table helpers.
local nkeys = require("table.nkeys")

local ipairs = ipairs
local pairs = pairs
local select = select
local type = type

local _M = {}

--- Appends every further argument.
function _M.insert_tail(tab, ...)
    local length = #tab
    for i = 1, select("#", ...) do
        tab[length + i] = (select(i, ...))
    end
end

--- The value at a path of keys; nil as soon as a step is missing.
function _M.try_read_attr(tab, ...)
    for i = 1, select("#", ...) do
        if type(tab) ~= "table" then
            return nil
        end
        tab = tab[(select(i, ...))]
    end
    return tab
end

--- The index of `value` in `array`, else nil.
function _M.array_find(array, value)
    for i, item in ipairs(array) do
        if item == value then
            return i
        end
    end
    return nil
end

local function deepcopy(value)
    if type(value) ~= "table" then
        return value
    end
    local copy = {}
    for k, v in pairs(value) do
        copy[k] = deepcopy(v)
    end
    return copy
end
_M.deepcopy = deepcopy

local function deep_eq(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b
    end
    if nkeys(a) ~= nkeys(b) then
        return false
    end
    for k, v in pairs(a) do
        if not deep_eq(v, b[k]) then
            return false
        end
    end
    return true
end
_M.deep_eq = deep_eq

return _M
