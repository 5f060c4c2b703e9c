--- `ctx.var`: nginx's variables and APISIX's own, read once and kept for the request.
local request = require("apisix.core.request")

local error = error
local ngx = ngx
local setmetatable = setmetatable
local sub = string.sub
local type = type

local _M = {}

-- Variables that nginx.conf declares, so that the access log sees what plugins write.
local NGINX_VARS = {}
for name in
    ([[
    upstream_scheme upstream_host upstream_unresolved_host upstream_uri upstream_upgrade upstream_connection
    request_line request_type request_llm_model apisix_request_id apisix_upstream_response_time
    rate_limiting_info llm_content_risk_level llm_time_to_first_token llm_model llm_prompt_tokens
    llm_completion_tokens llm_total_tokens llm_stream llm_has_tool_calls llm_tool_count llm_end_user_id
    llm_cache_read_input_tokens llm_cache_creation_input_tokens llm_reasoning_tokens
]]):gmatch("%S+")
do
    NGINX_VARS[name] = true
end
_M.nginx_vars = NGINX_VARS

-- Variables that are fields of the request context.
local CONTEXT_VARS = {
    balancer_ip = true,
    balancer_port = true,
    consumer_name = true,
    consumer_group_id = true,
    route_id = true,
    route_name = true,
    service_id = true,
    service_name = true,
}

local UNCACHED = { args = true, is_args = true }

local custom = {}

local function first(value)
    if type(value) == "table" then
        return value[1]
    end
    return value
end

local function fetch(ctx, key)
    if custom[key] then
        return custom[key](ctx)
    elseif CONTEXT_VARS[key] then
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
        if type(key) ~= "string" then
            error("the name of a variable is a string", 2)
        end
        local value = self._cache[key]
        if value ~= nil then
            return value
        end
        value = fetch(self._ctx, key)
        if value ~= nil and not UNCACHED[key] then
            self._cache[key] = value
        end
        return value
    end,

    __newindex = function(self, key, value)
        if NGINX_VARS[key] then
            ngx.var[key] = value
        end
        self._cache[key] = value
    end,
}

--- Gives a request context its `var`.
function _M.set_vars_meta(ctx)
    ctx.var = setmetatable({ _cache = {}, _ctx = ctx }, var_mt)
end

--- Adds a variable computed by `getter(ctx)`; `opts.no_cacheable` computes it at every use.
function _M.register_var(name, getter, opts)
    if type(getter) ~= "function" then
        error("the getter of a variable is a function", 2)
    end
    custom[name] = getter
    UNCACHED[name] = opts and opts.no_cacheable or nil
end

return _M
