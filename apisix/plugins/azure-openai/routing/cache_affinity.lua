--- Sends the requests of a conversation to the backend that has its prompt in its cache, so far as that keeps the load
--- in balance (B5).
--
-- The workers count together what each backend has got in the last minute. A backend that would get more than
-- MOST_OF_SHARE of its share passes the conversation on, to the one that has got the least. There it stays: each move
-- costs as much as a new conversation. Conversations that begin alike meet at first, and move one by one.
local rendezvous = require("apisix.plugins.azure-openai.routing.rendezvous")

local ngx = ngx
local ipairs = ipairs
local math_floor = math.floor
local ngx_now = ngx.now

local dict = ngx.shared["azure-openai-conversations"]

-- Nobody shall get more than 1.25 times its share, also when another one rests now and then.
local MOST_OF_SHARE = 1.2
local WINDOW_SECONDS = 60
-- So few requests a minute say nothing of the balance.
local FEW = 10
-- Caches forget what is not used for so long.
local REMEMBER_SECONDS = 600

local _M = {}

local function counter_of(pool, deployment, backend, window)
    return "count|" .. pool.name .. "|" .. deployment .. "|" .. backend.name .. "|" .. window
end

-- In each group of equals a conversation has a place of its own.
local function place_of(pool, group, plan)
    return "place|" .. pool.name .. "|" .. group.priority .. "|" .. plan.conversation
end

-- What each backend has got in the last minute: all of this window, and so much of the one before as lies in it. Also
-- the sums of these and of the weights.
local function loads(pool, deployment, available)
    local now = ngx_now()
    local window = math_floor(now / WINDOW_SECONDS)
    local part = 1 - now % WINDOW_SECONDS / WINDOW_SECONDS
    local counts, total, weights = {}, 0, 0
    for _, backend in ipairs(available) do
        local count = (dict:get(counter_of(pool, deployment, backend, window)) or 0)
            + (dict:get(counter_of(pool, deployment, backend, window - 1)) or 0) * part
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

local function named(available, name)
    for _, backend in ipairs(available) do
        if backend.name == name then
            return backend
        end
    end
    return nil
end

--- The backend for the next request of a conversation.
-- @param pool Pool
-- @param group table of the pool
-- @param plan Plan with `conversation`
-- @param available Backend[] those of the group that may be asked; at least one
-- @return Backend
function _M.choose(pool, group, plan, available)
    local load = loads(pool, plan.deployment, available)
    local key = place_of(pool, group, plan)
    local place = named(available, dict:get(key))
    local backend = place or rendezvous.best(plan.kind, available)
    local must_move = is_crowded(load, backend)
    if must_move then
        backend = least_loaded(load, plan.kind, available)
    end
    -- A place that only rests is not forgotten.
    if must_move or place then
        dict:set(key, backend.name, REMEMBER_SECONDS)
    end
    return backend
end

--- Counts a request that a backend gets.
-- @param pool Pool
-- @param deployment string the client's name for it
function _M.count(pool, deployment, backend)
    if pool.keeps_prompt_caches then
        local window = math_floor(ngx_now() / WINDOW_SECONDS)
        dict:incr(counter_of(pool, deployment, backend, window), 1, 0, 2 * WINDOW_SECONDS)
    end
end

return _M
