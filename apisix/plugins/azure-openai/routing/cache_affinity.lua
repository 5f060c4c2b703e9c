--- Sends the requests of a conversation to the backend that has its prompt in its cache, so far as that keeps the load
--- in balance (B5).
--
-- The workers count together what each backend has got in the last minute. A backend that would get more than
-- MOST_OF_SHARE of its share passes the conversation on, to the one that has got the least. There it stays: each move
-- costs as much as a new conversation. Conversations that begin alike meet at first, and move one by one.
local core = require("apisix.core")
local pair_memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local rendezvous = require("apisix.plugins.azure-openai.routing.rendezvous")

local ngx = ngx
local ipairs = ipairs
local math_floor = math.floor
local ngx_crc32 = ngx.crc32_long
local ngx_now = ngx.now
local has_prefix = core.string.has_prefix

local dict = ngx.shared["azure-openai-conversations"]

-- Nobody shall get more than 1.25 times its share, also when another one rests now and then.
local MOST_OF_SHARE = 1.2
local WINDOW_SECONDS = 60
-- So few requests a minute say nothing of the balance.
local FEW = 10
-- Caches forget what is not used for so long.
local REMEMBER_SECONDS = 600
-- A client could have any number of conversations. Those that meet in a slot take turns in it.
local SLOTS_PER_CLIENT = 256

local _M = {}

local function kind_of(window)
    return "sent-" .. window
end

-- Where the place of a conversation is kept; in each group of equals it has one of its own. And how the entry begins.
local function place_of(group, plan)
    local slot = ngx_crc32(plan.conversation) % SLOTS_PER_CLIENT
    return group.priority .. "|" .. slot .. "|" .. plan.caller, plan.conversation .. "|"
end

-- What each backend has got in the last minute: all of this window, and so much of the one before as lies in it. Also
-- the sums of these and of the weights.
local function loads(plan, available)
    local now = ngx_now()
    local window = math_floor(now / WINDOW_SECONDS)
    local part = 1 - now % WINDOW_SECONDS / WINDOW_SECONDS
    local counts, total, weights = {}, 0, 0
    for _, backend in ipairs(available) do
        local deployment = pool_module.deployment_on(backend, plan)
        local count = (pair_memory.get(kind_of(window), backend, deployment) or 0)
            + (pair_memory.get(kind_of(window - 1), backend, deployment) or 0) * part
        counts[backend] = count
        total, weights = total + count, weights + backend.weight
    end
    return { counts = counts, total = total, weights = weights }
end

-- Whether one more request is too much for a backend.
local function is_crowded(load, backend)
    local count = load.counts[backend] + 1
    return count > FEW and count > MOST_OF_SHARE * (load.total + 1) * backend.weight / load.weights
end

-- The backend that has got the least for its weight; of equal ones the best for the kind.
local function least_loaded(load, kind, available)
    local least, equals = nil, {}
    for _, backend in ipairs(available) do
        local count = load.counts[backend] / backend.weight
        if not least or count < least then
            least, equals = count, {}
        end
        if count == least then
            equals[#equals + 1] = backend
        end
    end
    return rendezvous.best(kind, equals)
end

-- The backend that an entry names, if it is that of the conversation and may be asked.
local function named(available, entry, beginning)
    if not entry or not has_prefix(entry, beginning) then
        return nil
    end
    for _, backend in ipairs(available) do
        if entry == beginning .. backend.name then
            return backend
        end
    end
    return nil
end

--- The backend for the next request of a conversation.
-- @param group table of the pool
-- @param plan Plan with `conversation`
-- @param available Backend[] those of the group that may be asked; at least one
-- @return Backend
function _M.choose(group, plan, available)
    local load = loads(plan, available)
    local key, beginning = place_of(group, plan)
    local place = named(available, dict:get(key), beginning)
    local backend = place or rendezvous.best(plan.kind, available)
    local must_move = is_crowded(load, backend)
    if must_move then
        backend = least_loaded(load, plan.kind, available)
    end
    -- A place that only rests is not forgotten.
    if must_move or place then
        dict:set(key, beginning .. backend.name, REMEMBER_SECONDS)
    end
    return backend
end

--- Counts a request that a backend gets.
-- @param pool Pool
-- @param backend Backend
-- @param deployment string the backend's name for it
function _M.count(pool, backend, deployment)
    if pool.keeps_prompt_caches then
        local window = math_floor(ngx_now() / WINDOW_SECONDS)
        pair_memory.add_to(kind_of(window), backend, deployment, 1, 2 * WINDOW_SECONDS)
    end
end

return _M
