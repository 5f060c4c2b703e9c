--- The conditions of a route's `vars`: [[variable, operator, value], …], all of which must hold.
-- A "!" before the operator negates it; {"OR", …} and {"AND", …} nest.
local ipairs = ipairs
local re_find = ngx.re.find
local setmetatable = setmetatable
local tonumber = tonumber
local tostring = tostring
local type = type

local function compare(relation)
    return function(left, right)
        local a, b = tonumber(left), tonumber(right)
        if not a or not b then
            return false
        end
        return relation(a, b)
    end
end

local function equals(left, right)
    if type(right) == "number" then
        return tonumber(left) == right
    end
    return tostring(left) == tostring(right)
end

local function contains(list, item)
    for _, candidate in ipairs(type(list) == "table" and list or {}) do
        if equals(item, candidate) then
            return true
        end
    end
    return false
end

local function matches(flags)
    return function(left, right)
        return type(left) == "string" and re_find(left, right, flags) ~= nil
    end
end

local OPERATORS = {
    ["=="] = equals,
    ["~="] = function(left, right)
        return not equals(left, right)
    end,
    [">"] = compare(function(a, b)
        return a > b
    end),
    [">="] = compare(function(a, b)
        return a >= b
    end),
    ["<"] = compare(function(a, b)
        return a < b
    end),
    ["<="] = compare(function(a, b)
        return a <= b
    end),
    ["~~"] = matches("jou"),
    ["~*"] = matches("joui"),
    ["in"] = function(left, right)
        return contains(right, left)
    end,
    ["has"] = function(left, right)
        return contains(left, right)
    end,
}

local compile

local function compile_condition(rule)
    local name, operator, value = rule[1], rule[2], rule[3]
    local negated = operator == "!"
    if negated then
        operator, value = rule[3], rule[4]
    end
    local holds = OPERATORS[operator]
    if not holds then
        return nil, "operator " .. tostring(operator) .. " is not offered"
    end
    return function(vars)
        return holds(vars[name], value) ~= negated
    end
end

local function compile_all(rules, from, stop_at)
    local conditions = {}
    for i = from, #rules do
        local condition, err = compile(rules[i])
        if not condition then
            return nil, err
        end
        conditions[#conditions + 1] = condition
    end
    return function(vars)
        for _, condition in ipairs(conditions) do
            if condition(vars) == stop_at then
                return stop_at
            end
        end
        return not stop_at
    end
end

function compile(rule)
    if type(rule) ~= "table" then
        return nil, "a condition is a list"
    elseif rule[1] == "OR" then
        return compile_all(rule, 2, true)
    elseif rule[1] == "AND" then
        return compile_all(rule, 2, false)
    elseif type(rule[1]) == "string" then
        return compile_condition(rule)
    end
    return compile_all(rule, 1, false)
end

local _M = {}
local mt = { __index = _M }

--- Compiles conditions; nil and an error when one is not understood.
function _M.new(rules)
    local condition, err = compile(rules)
    if not condition then
        return nil, err
    end
    return setmetatable({ condition = condition }, mt)
end

--- Whether the conditions hold for a table of variables.
function _M:eval(vars)
    return self.condition(vars)
end

return _M
