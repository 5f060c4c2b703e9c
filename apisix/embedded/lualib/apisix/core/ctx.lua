--- `ctx.var`: nginx's variables and APISIX's own, read once and kept for the request.
local request = require("apisix.core.request")

local ngx = ngx
local setmetatable = setmetatable
local sub = string.sub
local type = type

local _M = {}

-- Variables that are fields of the request context.
local CONTEXT_VARS = { consumer_name = true, route_id = true }

local function first(value)
    if type(value) == "table" then
        return value[1]
    end
    return value
end

local function fetch(ctx, key)
    if CONTEXT_VARS[key] then
        return ctx[key]
    elseif key == "method" then
        return ngx.req.get_method()
    elseif sub(key, 1, 4) == "arg_" then
        return first(request.get_uri_args(ctx)[sub(key, 5)])
    elseif sub(key, 1, 5) == "http_" then
        return ngx.var[key:lower():gsub("-", "_")]
    end
    return ngx.var[key]
end

local var_mt = {
    __index = function(self, key)
        local value = self._cache[key]
        if value == nil then
            value = fetch(self._ctx, key)
            self._cache[key] = value
        end
        return value
    end,

    -- What plugins write stays in the request: unlike APISIX's, this nginx.conf declares no variables for it.
    __newindex = function(self, key, value)
        self._cache[key] = value
    end,
}

--- Gives a request context its `var`.
function _M.set_vars_meta(ctx)
    ctx.var = setmetatable({ _cache = {}, _ctx = ctx }, var_mt)
end

return _M
