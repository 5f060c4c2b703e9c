--- Chooses the backend of the next attempt: priority groups, then weights (or a consistent hash) inside a group.
local core = require("apisix.core")
local lrucache = require("resty.lrucache")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")

local ngx = ngx
local ipairs = ipairs
local math_log = math.log
local ngx_crc32 = ngx.crc32_long

-- Quotas are per deployment, so each deployment rotates on its own: clients that alternate between two
-- deployments would otherwise pin each to one backend.
local rotations = lrucache.new(1000)

local _M = {}

local function credits_for(pool, group, deployment)
    local id = group.priority .. "|" .. deployment
    local rotation = rotations:get(id)
    if not rotation or rotation.pool ~= pool then
        rotation = { pool = pool, credits = {} }
        rotations:set(id, rotation)
    end
    return rotation.credits
end

-- Smooth weighted round robin over the available backends: each gains its weight, the richest serves and pays the
-- total.
local function rotate(credits, available)
    local total, chosen = 0, nil
    for _, backend in ipairs(available) do
        local credit = (credits[backend.name] or 0) + backend.weight
        credits[backend.name] = credit
        total = total + backend.weight
        if not chosen or credit > credits[chosen.name] then
            chosen = backend
        end
    end
    credits[chosen.name] = credits[chosen.name] - total
    return chosen
end

-- Weighted rendezvous hashing: a key always meets the same backend. When that backend is away, only its keys move.
local function hash(key, available)
    local highest, chosen
    for _, backend in ipairs(available) do
        local uniform = (ngx_crc32(key .. "|" .. backend.name) + 1) / 4294967297
        local score = -backend.weight / math_log(uniform)
        if not chosen or score > highest then
            highest, chosen = score, backend
        end
    end
    return chosen
end

local function hash_key(ctx, balancer)
    if balancer.algorithm ~= "chash" then
        return nil
    end
    if balancer.hash_on == "consumer" then
        return ctx.consumer_name
    end
    if balancer.hash_on == "header" then
        return core.request.header(ctx, balancer.key)
    end
    if balancer.hash_on == "cookie" then
        return ctx.var["cookie_" .. balancer.key]
    end
    return ctx.var[balancer.key]
end

-- The backend's name for the deployment; nil when the backend cannot be tried now.
local function usable_deployment(backend, plan, tried)
    if tried[backend.name] then
        return nil
    end
    local deployment = pool_module.deployment_on(backend, plan)
    if not deployment then
        return nil
    end
    local reason = availability.state(backend, deployment)
    if reason and reason ~= "half-open" then
        return nil
    end
    return deployment
end

local function choose(ctx, pool, group, plan, tried)
    local available = {}
    for _, backend in ipairs(group) do
        if usable_deployment(backend, plan, tried) then
            available[#available + 1] = backend
        end
    end
    if #available == 0 then
        return nil
    end

    local key = hash_key(ctx, pool.balancer)
    return key and hash(key, available) or rotate(credits_for(pool, group, plan.deployment), available)
end

local function claim(pool, backend, deployment, tried)
    tried[backend.name] = true
    return availability.acquire(backend, deployment, pool.failover)
end

local function next_in_group(ctx, pool, group, plan, tried)
    local backend = choose(ctx, pool, group, plan, tried)
    while backend do
        local deployment = pool_module.deployment_on(backend, plan)
        local acquired, is_trial = claim(pool, backend, deployment, tried)
        if acquired then
            return backend, deployment, is_trial
        end
        backend = choose(ctx, pool, group, plan, tried)
    end
    return nil
end

-- The owner of a stored resource, the maker of the items, or the home backend. A drained backend still serves the
-- resources that it owns.
local function next_preferred(pool, plan, tried)
    local backend = plan.owner or plan.maker or plan.home
    local deployment = backend and usable_deployment(backend, plan, tried)
    if not deployment then
        return nil
    end
    local acquired, is_trial = claim(pool, backend, deployment, tried)
    if acquired then
        return backend, deployment, is_trial
    end
    return nil
end

--- The backend to try next.
-- @param ctx table request context
-- @param pool table
-- @param plan table from `ownership.plan`
-- @param tried table set of backend names; the chosen one is added
-- @return table|nil backend, nil when none is left
-- @return string|nil the backend's name for the deployment
-- @return boolean|nil whether the attempt is the trial of a half-open breaker
function _M.next(ctx, pool, plan, tried)
    local preferred, preferred_deployment, preferred_is_trial = next_preferred(pool, plan, tried)
    if preferred or plan.owner then
        return preferred, preferred_deployment, preferred_is_trial
    end

    for _, group in ipairs(pool.groups) do
        local backend, deployment, is_trial = next_in_group(ctx, pool, group, plan, tried)
        if backend then
            return backend, deployment, is_trial
        end
    end
    if pool_module.may_be_drained(plan) then
        return next_in_group(ctx, pool, pool.drained, plan, tried)
    end
    return nil
end

return _M
