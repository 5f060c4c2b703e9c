--- Conditions on a request's variables, as a route's `vars` and a plugin's `_meta.filter` hold them: a list of
--- {variable, operator, pattern}, all of which must match.
local ipairs = ipairs
local re_find = ngx.re.find
local tostring = tostring
local type = type

-- The regex flags of each operator.
local OPERATORS = { ["~~"] = "jou", ["~*"] = "joui" }

local _M = {}

--- Compiles conditions, for example {{"uri", "~~", "^/openai/"}}.
-- @return function(vars) whether all conditions hold for a table of variables; nil when one is not understood
-- @return string|nil error
function _M.compile(rules)
    for _, rule in ipairs(rules) do
        if type(rule) ~= "table" or not OPERATORS[rule[2]] then
            return nil,
                "operator " .. tostring(type(rule) == "table" and rule[2] or rule) .. " is not offered"
        end
    end
    return function(vars)
        for _, rule in ipairs(rules) do
            local value = vars[rule[1]]
            if type(value) ~= "string" or not re_find(value, rule[3], OPERATORS[rule[2]]) then
                return false
            end
        end
        return true
    end
end

return _M
