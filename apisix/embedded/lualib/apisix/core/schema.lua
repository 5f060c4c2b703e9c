--- A validator for the part of JSON Schema (draft 4 to 7) that plugin schemas use.
-- Like APISIX's validator it fills in defaults. Its messages name the property and the rule,
-- never the value, since values may be secrets.
local isarray = require("table.isarray")
local isempty = require("table.isempty")
local nkeys = require("table.nkeys")

local deepcopy = require("apisix.core.table").deepcopy
local deep_eq = require("apisix.core.table").deep_eq

local ipairs = ipairs
local pairs = pairs
local re_find = ngx.re.find
local type = type

local _M = { TYPE_CONSUMER = 1, TYPE_METADATA = 2 }

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
    null = function(value)
        return value == ngx.null
    end,
}

local function check_type(schema, value)
    local names = type(schema.type) == "table" and schema.type or { schema.type }
    for _, name in ipairs(names) do
        if TYPES[name](value) then
            return true
        end
    end
    return false, "wrong type: expected " .. table.concat(names, " or ") .. ", got " .. type(value)
end

local function check_enum(schema, value)
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
    elseif type(schema.exclusiveMinimum) == "number" and value <= schema.exclusiveMinimum then
        return false, "expected a number greater than " .. schema.exclusiveMinimum
    elseif type(schema.exclusiveMaximum) == "number" and value >= schema.exclusiveMaximum then
        return false, "expected a number less than " .. schema.exclusiveMaximum
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

-- The schemas that apply to a property; `additionalProperties` only where nothing else does.
local function schemas_of(schema, key)
    local list = {}
    list[1] = schema.properties and schema.properties[key]
    for pattern, sub in pairs(schema.patternProperties or {}) do
        if re_find(key, pattern, "jou") then
            list[#list + 1] = sub
        end
    end
    if #list == 0 then
        list[1] = schema.additionalProperties
        if schema.additionalProperties == false then
            return nil, "additional properties forbidden, found " .. key
        end
    end
    return list
end

local function fill_defaults(schema, value)
    for key, sub in pairs(schema.properties or {}) do
        if value[key] == nil and type(sub) == "table" and sub.default ~= nil then
            value[key] = deepcopy(sub.default)
        end
    end
end

local function check_property(schema, key, item)
    local list, err = schemas_of(schema, tostring(key))
    if not list then
        return false, err
    end
    for _, sub in ipairs(list) do
        local ok
        ok, err = validate(sub, item)
        if not ok then
            return false, 'property "' .. key .. '" validation failed: ' .. err
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
    local count = nkeys(value)
    if schema.minProperties and count < schema.minProperties then
        return false, "expected object to have at least " .. schema.minProperties .. " properties"
    elseif schema.maxProperties and count > schema.maxProperties then
        return false, "expected object to have at most " .. schema.maxProperties .. " properties"
    end
    return true
end

local function count_matches(schemas, value)
    local matches = 0
    for _, sub in ipairs(schemas) do
        if validate(sub, value) then
            matches = matches + 1
        end
    end
    return matches
end

local function check_combined(schema, value)
    for _, sub in ipairs(schema.allOf or {}) do
        local ok, err = validate(sub, value)
        if not ok then
            return false, "allOf failed: " .. err
        end
    end
    if schema.anyOf and count_matches(schema.anyOf, value) == 0 then
        return false, "object matches none of the required"
    end
    if schema.oneOf and count_matches(schema.oneOf, value) ~= 1 then
        return false, "value should match only one schema, but matches " .. count_matches(schema.oneOf, value)
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
    -- An empty table may be an empty array: then only its length matters.
    if schema.minItems and isempty(value) then
        return check_array(schema, value)
    end
    return check_object(schema, value)
end

local function check_constant(schema, value)
    if deep_eq(schema.const, value) then
        return true
    end
    return false, "does not match the constant"
end

local CHECKS = {
    { "type", check_type },
    { "enum", check_enum },
    { "const", check_constant },
}

function validate(schema, value)
    if type(schema) == "boolean" then
        return schema, "value is not allowed"
    end
    for _, check in ipairs(CHECKS) do
        if schema[check[1]] ~= nil then
            local ok, err = check[2](schema, value)
            if not ok then
                return false, err
            end
        end
    end
    local ok, err = check_content(schema, value)
    if not ok then
        return false, err
    end
    return check_combined(schema, value)
end

--- Checks `value` against `schema` and fills in defaults.
-- @return true, or false and what is wrong
function _M.check(schema, value)
    local ok, err = validate(schema, value)
    if ok then
        return true
    end
    return false, err
end

return _M
