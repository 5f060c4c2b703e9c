--- Table helpers over Lua's and LuaJIT's own.
local isarray = require("table.isarray")
local nkeys = require("table.nkeys")

local getmetatable = getmetatable
local ipairs = ipairs
local pairs = pairs
local select = select
local setmetatable = setmetatable
local type = type

local _M = setmetatable({
    new = require("table.new"),
    clear = require("table.clear"),
    clone = require("table.clone"),
    isarray = isarray,
    isempty = require("table.isempty"),
    nkeys = nkeys,
}, { __index = table })

--- Appends every further argument; returns the new length.
function _M.insert_tail(tab, ...)
    local length = #tab
    for i = 1, select("#", ...) do
        length = length + 1
        tab[length] = (select(i, ...))
    end
    return length
end

function _M.set(tab, ...)
    for i = 1, select("#", ...) do
        tab[i] = (select(i, ...))
    end
end

--- Value at a path of keys, nil as soon as a step is missing.
function _M.try_read_attr(tab, ...)
    for i = 1, select("#", ...) do
        if type(tab) ~= "table" then
            return nil
        end
        tab = tab[(select(i, ...))]
    end
    return tab
end

--- Index of `value` in `array`, else nil.
function _M.array_find(array, value)
    if type(array) ~= "table" then
        return nil
    end
    for i, item in ipairs(array) do
        if item == value then
            return i
        end
    end
    return nil
end

local function copy(value, copies)
    if type(value) ~= "table" then
        return value
    end
    if copies[value] then
        return copies[value]
    end
    local result = {}
    copies[value] = result
    for k, v in pairs(value) do
        result[k] = copy(v, copies)
    end
    return setmetatable(result, getmetatable(value))
end

function _M.deepcopy(value)
    return copy(value, {})
end

--- Merges `extend` into `origin`: objects by key, anything else by replacement.
local function merge(origin, extend)
    for k, v in pairs(extend) do
        local old = origin[k]
        if v == ngx.null then
            origin[k] = nil
        elseif type(v) == "table" and type(old) == "table" and not isarray(v) and not isarray(old) then
            merge(old, v)
        else
            origin[k] = v
        end
    end
    return origin
end
_M.merge = merge

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

--- Whether both tables have the same keys.
function _M.set_eq(a, b)
    if nkeys(a) ~= nkeys(b) then
        return false
    end
    for k in pairs(a) do
        if b[k] == nil then
            return false
        end
    end
    return true
end

--- The entries of `obj` whose keys are in `attrs`.
function _M.pick(obj, attrs)
    local result = {}
    for k in pairs(attrs) do
        result[k] = obj[k]
    end
    return result
end

return _M
