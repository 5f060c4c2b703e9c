--- Chooses the backend of the next attempt: priority groups, and inside a group the backend that knows the
--- conversation, weights (also by speed), or a consistent hash.
local core = require("apisix.core")
local lrucache = require("resty.lrucache")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local breakers = require("apisix.plugins.azure-openai.routing.breakers")
local cache_affinity = require("apisix.plugins.azure-openai.routing.cache_affinity")
local cooldowns = require("apisix.plugins.azure-openai.routing.cooldowns")
local pair_memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local rendezvous = require("apisix.plugins.azure-openai.routing.rendezvous")
local speeds = require("apisix.plugins.azure-openai.routing.speeds")

local ngx = ngx
local ipairs = ipairs
local next = next
local ngx_crc32 = ngx.crc32_long
local table_sort = table.sort

-- Quotas are per deployment, so each deployment rotates on its own: clients that alternate between two
-- deployments would otherwise pin each to one backend. So do kinds of answers whose speeds are compared. Those of names
-- that may be a client's invention are kept apart, so that inventions push out nothing but one another: a hundred real
-- deployments have turns of all kinds at once.
local rotations, unproven = lrucache.new(4000), lrucache.new(1000)

-- Another request has the trial of a backend that was passed over. One that misses the deployment has said so to this
-- request.
local ASKED, MISSES, PASSED_OVER = "asked", "misses", "passed over"

local _M = {}

-- Whether a rotation is for a name that is no client's invention.
local function is_proven(rotation, plan)
    for _, backend in ipairs(rotation.members) do
        if pair_memory.is_real(backend, pool_module.deployment_on(backend, plan)) then
            return true
        end
    end
    return false
end

local function new_rotation(pool, group, plan)
    -- Weights and credits are lists of numbers: to ask two hundred backends would wait for the memory of each.
    local rotation = { pool = pool, members = {}, place_of = {}, weights = {}, credits = {}, total = 0 }
    for _, backend in ipairs(group) do
        if pool_module.deployment_on(backend, plan) then
            local place = #rotation.members + 1
            rotation.members[place], rotation.place_of[backend] = backend, place
            rotation.weights[place], rotation.credits[place] = backend.weight, 0
            rotation.total = rotation.total + backend.weight
        end
    end
    return rotation
end

-- The rotation that is not among those of real deployments. One that began before its deployment had served goes on
-- until it is pushed out; the next one is where it belongs.
local function unproven_rotation(pool, group, plan, id)
    local rotation = unproven:get(id)
    if rotation and rotation.pool == pool then
        return rotation
    end
    rotation = new_rotation(pool, group, plan)
    local kept = is_proven(rotation, plan) and rotations or unproven
    kept:set(id, rotation)
    return rotation
end

-- Whose turn it is among the backends of a group that serve a deployment on a surface.
local function rotation_of(pool, group, plan)
    local surface = plan.surface and plan.surface.name or ""
    local id = pool.name
        .. "|"
        .. group.priority
        .. "|"
        .. plan.deployment
        .. "|"
        .. (plan.pace or "")
        .. "|"
        .. surface
    local rotation = rotations:get(id)
    if rotation and rotation.pool == pool then
        return rotation
    end
    return unproven_rotation(pool, group, plan, id)
end

-- Smooth weighted round robin over the available backends: each gains its weight, the richest serves and pays the
-- total. `weights` are those of the backends unless their speeds change them.
local function rotate(rotation, available, weights)
    local credits, total, chosen = rotation.credits, 0, nil
    for index, backend in ipairs(available) do
        local weight, place = weights and weights[index] or backend.weight, rotation.place_of[backend]
        credits[place] = credits[place] + weight
        total = total + weight
        if not chosen or credits[place] > credits[chosen] then
            chosen = place
        end
    end
    credits[chosen] = credits[chosen] - total
    return rotation.members[chosen]
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

-- The backend's name for the deployment; nil when the backend cannot be tried now. Also whether that takes a trial.
local function usable_deployment(backend, plan, tried)
    if tried[backend.name] then
        return nil
    end
    local deployment = pool_module.deployment_on(backend, plan)
    if not deployment then
        return nil
    end
    local is_usable, is_trial = availability.admits(backend, deployment, plan.operation, plan.size)
    if not is_usable then
        return nil
    end
    return deployment, is_trial
end

-- One of those that may be asked. `deployments` are their names for it, where speeds count.
local function pick(ctx, pool, group, plan, available, deployments)
    local key = hash_key(ctx, pool.balancer)
    if key then
        return rendezvous.best(ngx_crc32(key), available)
    end
    if plan.conversation then
        return cache_affinity.choose(group, plan, available)
    end
    local weights = deployments and #available > 1 and speeds.weights(available, deployments, plan.pace)
    return rotate(rotation_of(pool, group, plan), available, weights)
end

-- The next in turn, if it is usable without a trial. Most often nobody rests, so nobody else has to be looked at. A
-- resting one gains turns until it is the next; then `choose` goes past it, and is told that it rests.
local function next_in_turn(pool, group, plan, tried)
    local rotation = rotation_of(pool, group, plan)
    local weights, credits = rotation.weights, rotation.credits
    if #weights < 2 then
        return nil
    end
    local chosen, most = 1, credits[1] + weights[1]
    for place = 2, #weights do
        local credit = credits[place] + weights[place]
        if credit > most then
            chosen, most = place, credit
        end
    end
    local backend = rotation.members[chosen]
    local deployment, is_trial = usable_deployment(backend, plan, tried)
    if not deployment or is_trial then
        return nil, not deployment and backend or nil
    end
    for place = 1, #weights do
        credits[place] = credits[place] + weights[place]
    end
    credits[chosen] = credits[chosen] - rotation.total
    return backend
end

-- Also tells whether the chosen one takes a trial.
local function choose(ctx, pool, group, plan, tried)
    local is_in_turn = not plan.conversation and not plan.pace and pool.balancer.algorithm ~= "chash"
    local chosen, resting
    if is_in_turn and next(tried) == nil then
        chosen, resting = next_in_turn(pool, group, plan, tried)
        if chosen then
            return chosen, false
        end
    end
    local available, trials = {}, {}
    -- Of each available one its name for the deployment. Only speeds need it.
    local deployments = plan.pace and {}
    for _, backend in ipairs(group) do
        local deployment, is_trial
        if backend ~= resting then
            deployment, is_trial = usable_deployment(backend, plan, tried)
        end
        if deployment then
            available[#available + 1] = backend
            if deployments then
                deployments[#available] = deployment
            end
            trials[backend] = is_trial or nil
        end
    end
    if #available == 0 then
        return nil
    end

    chosen = pick(ctx, pool, group, plan, available, deployments)
    return chosen, trials[chosen] or false
end

-- Whether the request may go to a backend that is usable.
local function claim(pool, plan, backend, tried, is_trial)
    local deployment = pool_module.deployment_on(backend, plan)
    local is_claimed = not is_trial
        or availability.acquire(backend, deployment, pool.failover, plan.operation, plan.size)
    tried[backend.name] = is_claimed and ASKED or PASSED_OVER
    return is_claimed
end

local function next_in_group(ctx, pool, group, plan, tried)
    local backend, is_trial = choose(ctx, pool, group, plan, tried)
    while backend do
        if claim(pool, plan, backend, tried, is_trial) then
            local deployment = pool_module.deployment_on(backend, plan)
            cache_affinity.count(pool, backend, deployment)
            return backend, deployment, is_trial
        end
        backend, is_trial = choose(ctx, pool, group, plan, tried)
    end
    return nil
end

-- The owner of a stored resource, the maker of the items, or the home backend.
local function preferred(plan)
    return plan.owner or plan.maker or plan.home
end

--- The kind of answer that the time of a backend counts for.
-- @param plan Plan
-- @return string|nil nil when it does not count: the request had to go there whatever the weights are
function _M.pace(plan, backend)
    return preferred(plan) ~= backend and plan.pace or nil
end

-- A drained backend still serves the resources that it owns.
local function next_preferred(pool, plan, tried)
    local backend = preferred(plan)
    if not backend then
        return nil
    end
    local deployment, is_trial = usable_deployment(backend, plan, tried)
    if deployment and claim(pool, plan, backend, tried, is_trial) then
        cache_affinity.count(pool, backend, deployment)
        return backend, deployment, is_trial
    end
    return nil
end

--- Whether a backend has been asked for a request already.
-- @param tried table as for `next`
function _M.is_asked(tried, name)
    return tried[name] == ASKED or tried[name] == MISSES
end

--- A backend has said that it misses the deployment.
-- @param tried table as for `next`
function _M.note_missing(tried, name)
    tried[name] = MISSES
end

-- The order in which resting candidates are asked when nobody else is left.
local RANKS = { spent = 1, open = 2, ["half-open"] = 2, missing = 3 }

-- The candidates that rest and were not asked, the first to recover first. Also whether others may have the deployment
-- (they were asked and did not miss it, or are throttled), and whether one misses it.
local function resting(pool, plan, tried)
    local list, has_others, is_missed = {}, false, false
    for backend, deployment in pool_module.candidates(pool, plan) do
        local reason, seconds = availability.state(backend, deployment, plan.operation, plan.size)
        local is_asked = _M.is_asked(tried, backend.name)
        is_missed = is_missed or tried[backend.name] == MISSES
        has_others = has_others or tried[backend.name] == ASKED or reason == "throttled"
        if RANKS[reason] and not is_asked then
            list[#list + 1] =
                { backend = backend, deployment = deployment, rank = RANKS[reason], seconds = seconds }
        end
    end
    table_sort(list, function(a, b)
        return a.rank < b.rank or (a.rank == b.rank and a.seconds < b.seconds)
    end)
    return list, has_others, is_missed
end

-- Whether a request may ask a resting candidate. When all seem to miss the deployment, one of them is asked. Otherwise,
-- and when that one misses it, one request of each client a second asks the others, too: the deployment may be there,
-- but most often it is not, and a client that will be refused should not wait for that.
local function may_ask(pool, plan, candidate, has_others, is_missed)
    local backend, deployment = candidate.backend, candidate.deployment
    if candidate.rank == RANKS.open then
        return breakers.override(backend, deployment, pool.failover)
    end
    if candidate.rank == RANKS.missing then
        local is_first = not has_others and not is_missed
        return is_first or cooldowns.look(backend, deployment, plan.caller)
    end
    return true
end

--- The backend to try next when `next` has none left: a rest only sheds load that others can carry (F2, F9, B1).
-- @return table|nil backend, nil when none is left or enough requests are on their way there
-- @return string|nil the backend's name for the deployment
-- @return boolean|nil whether the attempt takes one of the places behind an open breaker
function _M.next_resting(pool, plan, tried)
    local candidates, has_others, is_missed = resting(pool, plan, tried)
    for _, candidate in ipairs(candidates) do
        if may_ask(pool, plan, candidate, has_others, is_missed) then
            tried[candidate.backend.name] = ASKED
            return candidate.backend, candidate.deployment, candidate.rank == RANKS.open
        end
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
    local first, first_deployment, first_is_trial = next_preferred(pool, plan, tried)
    if first or plan.owner then
        return first, first_deployment, first_is_trial
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
