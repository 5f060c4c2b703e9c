--- Cool-downs that hold for all replicas when Redis is configured: the others need not ask a backend that has told one
--- replica to wait.
--
-- A timer reads them, so no request waits for Redis. A replica learns of a cool-down within a second.
local availability = require("apisix.plugins.azure-openai.routing.availability")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local ngx_now = ngx.now
local pairs = pairs

local dict = ngx.shared["azure-openai-availability"]

local LIST = "cooldowns"
local POLL_SECONDS = 1
-- A shorter cool-down is over before the others know of it.
local SHORTEST_SECONDS = 1

local _M = {}

--- Starts a cool-down, here at once and soon in the other replicas.
-- @param backend table
-- @param deployment string the backend's name for it
-- @param seconds number
function _M.start(backend, deployment, seconds)
    availability.throttled(backend, deployment, seconds)
    if seconds >= SHORTEST_SECONDS then
        shared_state.announce_later(LIST, backend.name .. "|" .. deployment, ngx_now() + seconds)
    end
end

local function learn(pool)
    local now = ngx_now()
    for member, deadline in pairs(shared_state.announced(LIST)) do
        local name, deployment = member:match("^([^|]*)|(.*)$")
        local backend = name and pool.by_name[name]
        if backend and deadline > now then
            availability.throttled(backend, deployment, deadline - now)
        end
    end
end

-- One worker at a time asks for all.
local function poll(premature)
    if premature then
        return
    end
    -- Also tells a worker that has served nothing yet which Redis there is.
    local pool = pool_module.current()
    if pool and shared_state.is_configured() and dict:add("cooldowns-read", true, POLL_SECONDS / 2) then
        learn(pool)
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
