--- Sends the requests of a conversation to the backend that has its prompt in its cache, so far as that keeps the load
--- in balance (B5).
--
-- Each worker counts for itself what it has sent to each backend in the last minute. A backend that has got more than
-- MOST_OF_SHARE of its share passes requests on to the next one in line.
local lrucache = require("resty.lrucache")
local rendezvous = require("apisix.plugins.azure-openai.routing.rendezvous")

local ngx_now = ngx.now
local ipairs = ipairs

local MOST_OF_SHARE = 1.25
local WINDOW_SECONDS = 60
-- So few requests a minute say nothing of the balance.
local FEW = 10

-- By pool, group and deployment. One that is forgotten counts anew.
local counters = lrucache.new(1000)

local _M = {}

local function counter_of(pool, group, deployment, now)
    local id = pool.name .. "|" .. group.priority .. "|" .. deployment
    local counter = counters:get(id)
    if not counter or counter.pool ~= pool then
        counter = { pool = pool, began_at = now, current = {}, previous = {} }
        counters:set(id, counter)
    end
    local age = now - counter.began_at
    if age < 0 or age >= 2 * WINDOW_SECONDS then
        counter.began_at, counter.current, counter.previous = now, {}, {}
    elseif age >= WINDOW_SECONDS then
        counter.began_at = counter.began_at + WINDOW_SECONDS
        counter.current, counter.previous = {}, counter.current
    end
    return counter
end

-- What a backend has got in the last minute: all of this window, and so much of the one before.
local function count_of(counter, backend, part)
    return (counter.current[backend.name] or 0) + (counter.previous[backend.name] or 0) * part
end

local function without_crowded(counter, available, now)
    local part = 1 - (now - counter.began_at) / WINDOW_SECONDS
    local total, weights = 0, 0
    for _, backend in ipairs(available) do
        total, weights = total + count_of(counter, backend, part), weights + backend.weight
    end
    local free = {}
    for _, backend in ipairs(available) do
        local count = count_of(counter, backend, part)
        if count < FEW or count <= MOST_OF_SHARE * total * backend.weight / weights then
            free[#free + 1] = backend
        end
    end
    return free
end

--- The backend for the next request of a conversation.
-- @param pool Pool
-- @param group table of the pool
-- @param plan Plan with `conversation`
-- @param available Backend[] those of the group that may be asked; at least one
-- @return Backend
function _M.choose(pool, group, plan, available)
    local now = ngx_now()
    local free = without_crowded(counter_of(pool, group, plan.deployment, now), available, now)
    return rendezvous.best(plan.conversation, #free > 0 and free or available)
end

--- Counts a request that a backend of a group gets.
-- @param deployment string the client's name for it
function _M.count(pool, group, deployment, backend)
    local current = counter_of(pool, group, deployment, ngx_now()).current
    current[backend.name] = (current[backend.name] or 0) + 1
end

return _M
