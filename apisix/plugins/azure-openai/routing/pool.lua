--- The pool of backends, built once per configuration version from the gateway plugin's metadata; and for the routes of
--- tests, pools of some of these backends.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ipairs = ipairs
local pairs = pairs
local tonumber = tonumber
local table_sort = table.sort

local PLUGIN = "azure-openai-gateway"
local metadata_schema = schemas.read(PLUGIN).metadata_schema
local BACKEND_SCHEMA = metadata_schema.properties.backends.items

local _M = {}

local built_from, current

local function split_endpoint(endpoint)
    local scheme, authority = endpoint:match("^(https?)://([^/?#]+)$")
    local host, port = authority:match("^(%[[%x:.]+%]):?(%d*)$")
    if not host then
        host, port = authority:match("^([^:]+):?(%d*)$")
    end
    return scheme, host, tonumber(port) or (scheme == "https" and 443 or 80)
end

-- The backend's own names of its configured deployments, as a set; nil when none are configured.
local function own_names(deployments)
    if not deployments then
        return nil
    end
    local names = {}
    for _, name in pairs(deployments) do
        names[name] = true
    end
    return names
end

-- Configured limits by the backend's own names of deployments.
local function own_limits(deployments, configured)
    local limits = {}
    for name, limit in pairs(configured or {}) do
        limits[deployments and deployments[name] or name] = limit
    end
    return limits
end

local function set_of(list)
    local set = {}
    for _, name in ipairs(list) do
        set[name] = true
    end
    return set
end

local function build_backend(backend_conf)
    local conf = schemas.with_defaults(BACKEND_SCHEMA, backend_conf)
    local scheme, host, port = split_endpoint(conf.endpoint)
    return {
        name = conf.name,
        scheme = scheme,
        host = host,
        port = port,
        weight = conf.weight,
        priority = conf.priority,
        region = conf.region,
        surfaces = set_of(conf.surfaces),
        deployments = conf.deployments,
        own_names = own_names(conf.deployments),
        token_limits = own_limits(conf.deployments, conf.tokens_per_minute),
        auth = conf.auth,
        key = conf.key,
        client_id = conf.client_id,
        provisioned_usd_per_hour = conf.provisioned_usd_per_hour,
        token_scopes = conf.token_scopes,
        fingerprint = ngx.crc32_long(conf.endpoint .. "|" .. (conf.key or conf.client_id or "")),
        credential_variable = conf.credential_variable,
    }
end

-- Drained backends (weight 0) take no new work, so they are in no group. They are kept apart, since they may still own
-- stored resources.
local function build_groups(backends)
    local by_priority, groups, drained = {}, {}, { priority = "drained" }
    for _, backend in ipairs(backends) do
        if backend.weight > 0 then
            local group = by_priority[backend.priority]
            if not group then
                group = { priority = backend.priority }
                by_priority[backend.priority] = group
                groups[#groups + 1] = group
            end
            group[#group + 1] = backend
        else
            drained[#drained + 1] = backend
        end
    end
    table_sort(groups, function(a, b)
        return a.priority > b.priority
    end)
    return groups, drained
end

-- The backend for files, batches and everything that refers to them: the configured one, else the first. A drained
-- backend is chosen only when all are drained.
local function home_of(backends, configured)
    if configured and configured.weight > 0 then
        return configured
    end
    for _, backend in ipairs(backends) do
        if backend.weight > 0 then
            return backend
        end
    end
    return configured or backends[1]
end

-- The same for each surface, of those that offer it.
local function homes_of(backends, configured)
    local offering, homes = {}, {}
    for _, backend in ipairs(backends) do
        for name in pairs(backend.surfaces) do
            offering[name] = offering[name] or {}
            offering[name][#offering[name] + 1] = backend
        end
    end
    for name, list in pairs(offering) do
        homes[name] = home_of(list, configured and configured.surfaces[name] and configured or nil)
    end
    return homes
end

-- Whether conversations shall meet the same backend again. Other algorithms have their own idea of that, and with one
-- backend there is no choice.
local function keeps_prompt_caches(balancer, backends)
    return balancer.algorithm == "roundrobin" and balancer.prompt_cache_affinity and #backends > 1
end

-- Gives a pool its backends and all that follows from their weights and priorities.
local function fill(pool, backends, home_backend)
    pool.backends, pool.by_name = backends, {}
    for _, backend in ipairs(backends) do
        pool.by_name[backend.name] = backend
    end
    pool.groups, pool.drained = build_groups(backends)
    pool.homes = homes_of(backends, pool.by_name[home_backend])
    pool.keeps_prompt_caches = keeps_prompt_caches(pool.balancer, backends) or false
    return pool
end

-- A pool of some backends of another one, with weights and priorities of its own. State is kept by the backends' names,
-- so both pools share it.
local function build_part(whole, conf, home_backend)
    local backends, limits = {}, conf.limits or {}
    for index, member in ipairs(conf.backends) do
        local backend = setmetatable(
            { name = member.name, weight = member.weight, priority = member.priority },
            { __index = whole.by_name[member.name] }
        )
        if limits.tokens then
            backend.test_limits = {
                tokens = own_limits(backend.deployments, limits.tokens),
                requests = own_limits(backend.deployments, limits.requests),
            }
        end
        backends[index] = backend
    end
    local pool = { name = conf.name, is_part = true, balancer = conf.balancer, limits = limits }
    return fill(setmetatable(pool, { __index = whole }), backends, home_backend)
end

local function build(metadata)
    local conf = schemas.with_defaults(metadata_schema, metadata)
    local backends = {}
    for index, backend_conf in ipairs(conf.backends) do
        backends[index] = build_backend(backend_conf)
    end
    local pool = fill({
        name = "",
        parts = {},
        balancer = schemas.with_defaults(metadata_schema.properties.balancer, conf.balancer),
        failover = schemas.with_defaults(metadata_schema.properties.failover, conf.failover),
        expose_backend_headers = conf.expose_backend_headers,
        ssl_verify = conf.ssl_verify,
        stored_resources = conf.stored_resources,
        fallbacks = conf.deployment_fallbacks or {},
        limits = conf.limits,
        pricing = conf.pricing,
        telemetry = conf.telemetry,
    }, backends, conf.home_backend)
    for _, part_conf in ipairs(conf.pools or {}) do
        pool.parts[part_conf.name] = build_part(pool, part_conf, conf.home_backend)
    end
    return pool
end

-- The pool of all backends; nil and why when no valid configuration was ever loaded.
local function whole_pool()
    local metadata = plugin.plugin_metadata(PLUGIN)
    local conf = metadata and metadata.value
    if not conf then
        -- APISIX skips an invalid item; the last valid one stays in force.
        return current, not current and "no backends are configured" or nil
    end

    -- A reload replaces the whole table, so its identity is the version.
    if conf ~= built_from then
        current = build(conf)
        built_from = conf
        shared_state.use(conf.redis and schemas.with_defaults(metadata_schema.properties.redis, conf.redis))
        core.log.notice("azure-openai: pool of ", #current.backends, " backends loaded")
    end
    return current
end

--- A pool of the configuration that is loaded now.
-- @param name string|nil of one of the pools for tests; nil for the pool of all backends
-- @return Pool|nil, error
function _M.current(name)
    local pool, err = whole_pool()
    if not pool or not name then
        return pool, err
    end
    return pool.parts[name], "this pool is not configured"
end

--- The backend's own name for the deployment that a request wants, or the kind of stored resource when the request
--- names no deployment. Availability is kept per such name, so trouble with files says nothing about chats.
-- @param backend table
-- @param wanted table { deployment ("" for none), surface (nil for any), resource (kind of stored resource), owner
--   (backend, or nil) }: a request, or a plan from `ownership.plan`
-- @return string|nil nil when the backend does not serve the deployment, or not on this surface
local function deployment_on(backend, wanted)
    local surface = wanted.surface
    if surface and not backend.surfaces[surface.name] then
        return nil
    end
    local deployment = wanted.deployment
    if deployment == "" then
        return wanted.resource
    end
    if not backend.deployments then
        return deployment
    end
    -- A stored resource can only be served by its owner, even when the owner does not list the deployment.
    return backend.deployments[deployment] or (backend == wanted.owner and deployment or nil)
end
_M.deployment_on = deployment_on

--- Whether a drained backend may serve a request: only when the request refers to a resource that it may hold.
function _M.may_be_drained(wanted)
    return wanted.references ~= nil and #wanted.references > 0
end

--- Iterates over every backend that may serve a request, whether it is available or not.
-- @param wanted table as for `deployment_on`, with `references` when it is known to refer to stored resources
-- @return function() -> backend, its name for the deployment
function _M.candidates(pool, wanted)
    if wanted.owner then
        local owner = wanted.owner
        return function()
            local backend = owner
            owner = nil
            return backend, backend and deployment_on(backend, wanted)
        end
    end

    local index, with_drained = 0, _M.may_be_drained(wanted)
    return function()
        while index < #pool.backends do
            index = index + 1
            local backend = pool.backends[index]
            local deployment = (backend.weight > 0 or with_drained) and deployment_on(backend, wanted)
            if deployment then
                return backend, deployment
            end
        end
        return nil
    end
end

return _M
