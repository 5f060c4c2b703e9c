--- A validator for the part of JSON Schema (draft 7) that the plugins' schemas use; it refuses any other keyword.
-- Like APISIX's validator, it fills in defaults. Its messages name the property and the rule, and never the value,
-- because values may be secrets.
local isarray = require("table.isarray")
local isempty = require("table.isempty")
local nkeys = require("table.nkeys")

local deepcopy = require("apisix.core.table").deepcopy
local deep_eq = require("apisix.core.table").deep_eq

local ipairs = ipairs
local pairs = pairs
local re_find = ngx.re.find
local type = type

local _M = { TYPE_METADATA = 2 }

local validate

-- An empty Lua table is both an empty object and an empty array.
local TYPES = {
    object = function(value)
        return type(value) == "table" and (isempty(value) or not isarray(value))
    end,
    array = function(value)
        return type(value) == "table" and isarray(value)
    end,
    string = function(value)
        return type(value) == "string"
    end,
    number = function(value)
        return type(value) == "number"
    end,
    integer = function(value)
        return type(value) == "number" and value % 1 == 0
    end,
    boolean = function(value)
        return type(value) == "boolean"
    end,
}

local function check_type(schema, value)
    if schema.type == nil or TYPES[schema.type](value) then
        return true
    end
    return false, "wrong type: expected " .. schema.type .. ", got " .. type(value)
end

local function check_enum(schema, value)
    if schema.enum == nil then
        return true
    end
    for _, allowed in ipairs(schema.enum) do
        if deep_eq(allowed, value) then
            return true
        end
    end
    return false, "matches none of the enum values"
end

local function check_number(schema, value)
    if schema.minimum and value < schema.minimum then
        return false, "expected a number of at least " .. schema.minimum
    elseif schema.maximum and value > schema.maximum then
        return false, "expected a number of at most " .. schema.maximum
    elseif schema.exclusiveMinimum and value <= schema.exclusiveMinimum then
        return false, "expected a number greater than " .. schema.exclusiveMinimum
    end
    return true
end

local function characters(text)
    local _, continuations = text:gsub("[\128-\191]", "")
    return #text - continuations
end

local function check_string(schema, value)
    if schema.minLength and characters(value) < schema.minLength then
        return false, "string too short, expected at least " .. schema.minLength
    elseif schema.maxLength and characters(value) > schema.maxLength then
        return false, "string too long, expected at most " .. schema.maxLength
    elseif schema.pattern and not re_find(value, schema.pattern, "jou") then
        return false, 'failed to match pattern "' .. schema.pattern .. '"'
    end
    return true
end

local function check_unique(array)
    for i = 2, #array do
        for j = 1, i - 1 do
            if deep_eq(array[i], array[j]) then
                return false, "expected unique items but items " .. j .. " and " .. i .. " are equal"
            end
        end
    end
    return true
end

local function check_array(schema, value)
    if schema.minItems and #value < schema.minItems then
        return false, "expected array to have at least " .. schema.minItems .. " items"
    elseif schema.maxItems and #value > schema.maxItems then
        return false, "expected array to have at most " .. schema.maxItems .. " items"
    end
    if schema.items then
        for i, item in ipairs(value) do
            local ok, err = validate(schema.items, item)
            if not ok then
                return false, "failed to validate item " .. i .. ": " .. err
            end
        end
    end
    if schema.uniqueItems then
        return check_unique(value)
    end
    return true
end

local function fill_defaults(schema, value)
    for key, sub in pairs(schema.properties or {}) do
        if value[key] == nil and type(sub) == "table" and sub.default ~= nil then
            value[key] = deepcopy(sub.default)
        end
    end
end

local function check_property(schema, key, item)
    local sub = schema.properties and schema.properties[key]
    if sub == nil then
        sub = schema.additionalProperties
    end
    if sub == false then
        return false, "additional properties forbidden, found " .. key
    end
    local ok, err = validate(sub or {}, item)
    if not ok then
        return false, 'property "' .. key .. '" validation failed: ' .. err
    end
    return true
end

local function check_dependencies(schema, value)
    for key, required in pairs(schema.dependencies or {}) do
        for _, other in ipairs(value[key] ~= nil and required or {}) do
            if value[other] == nil then
                return false, 'property "' .. other .. '" is required when "' .. key .. '" is set'
            end
        end
    end
    return true
end

local function check_object(schema, value)
    for _, key in ipairs(schema.required or {}) do
        if value[key] == nil then
            return false, 'property "' .. key .. '" is required'
        end
    end
    fill_defaults(schema, value)
    for key, item in pairs(value) do
        local ok, err = check_property(schema, key, item)
        if not ok then
            return false, err
        end
    end
    if schema.minProperties and nkeys(value) < schema.minProperties then
        return false, "expected object to have at least " .. schema.minProperties .. " properties"
    end
    return check_dependencies(schema, value)
end

local function matches_any(schemas, value)
    for _, sub in ipairs(schemas) do
        if validate(sub, value) then
            return true
        end
    end
    return false
end

local function check_combined(schema, value)
    if schema.anyOf and not matches_any(schema.anyOf, value) then
        return false, "object matches none of the required"
    end
    if schema["not"] and validate(schema["not"], value) then
        return false, "value wasn't supposed to match schema"
    end
    return true
end

local function check_content(schema, value)
    local kind = type(value)
    if kind == "number" then
        return check_number(schema, value)
    elseif kind == "string" then
        return check_string(schema, value)
    elseif kind ~= "table" then
        return true
    elseif TYPES.array(value) and not isempty(value) then
        return check_array(schema, value)
    end
    -- An empty table may be an empty array; then only its length matters.
    if schema.minItems and isempty(value) then
        return check_array(schema, value)
    end
    return check_object(schema, value)
end

local KEYWORDS = {}
for keyword in
    ([[
    type enum properties additionalProperties required dependencies minProperties items minItems maxItems uniqueItems
    minimum maximum exclusiveMinimum minLength maxLength pattern anyOf not default description
]]):gmatch("%S+")
do
    KEYWORDS[keyword] = true
end

local function check_keywords(schema)
    for keyword in pairs(schema) do
        if not KEYWORDS[keyword] then
            return false, "the schema keyword " .. keyword .. " is not offered by the embedded engine"
        end
    end
    return true
end

local CHECKS = { check_keywords, check_type, check_enum, check_content, check_combined }

function validate(schema, value)
    if schema == true then
        return true
    end
    for _, check in ipairs(CHECKS) do
        local ok, err = check(schema, value)
        if not ok then
            return false, err
        end
    end
    return true
end

--- Checks `value` against `schema` and fills in defaults.
-- @return true, or false and what is wrong
_M.check = validate

return _M
