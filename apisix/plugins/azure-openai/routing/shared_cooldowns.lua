--- Cool-downs that hold for all replicas, where Redis is configured: what one replica is told, the others need not
--- find out by asking the backend.
--
-- They are read by a timer, so no request waits for Redis; a replica learns of a cool-down within a second.
local availability = require("apisix.plugins.azure-openai.routing.availability")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local ngx_now = ngx.now
local pairs = pairs

local dict = ngx.shared["azure-openai-availability"]

local LIST = "cooldowns"
local POLL_SECONDS = 1
-- Shorter ones are over before the others know.
local SHORTEST_SECONDS = 1

local _M = {}

--- Starts a cool-down, here at once and soon in the other replicas.
-- @param backend table
-- @param deployment string the backend's name for it
-- @param seconds number
function _M.start(backend, deployment, seconds)
    availability.cool_down(backend, deployment, seconds)
    if seconds >= SHORTEST_SECONDS then
        shared_state.announce_later(LIST, backend.name .. "|" .. deployment, ngx_now() + seconds)
    end
end

local function learn()
    local pool, now = pool_module.current(), ngx_now()
    for member, deadline in pairs(shared_state.announced(LIST)) do
        local name, deployment = member:match("^([^|]*)|(.*)$")
        local backend = name and pool.by_name[name]
        if backend and deadline > now then
            availability.cool_down(backend, deployment, deadline - now)
        end
    end
end

-- One worker at a time asks for all.
local function poll(premature)
    if
        not premature
        and shared_state.is_configured()
        and dict:add("cooldowns-read", true, POLL_SECONDS / 2)
    then
        learn()
    end
end

local is_watching = false

--- Starts to follow the cool-downs of the other replicas. To be called in every worker.
function _M.watch()
    if not is_watching then
        is_watching = true
        ngx.timer.every(POLL_SECONDS, poll)
    end
end

return _M
