--- The reserve that low-priority work leaves to the rest: with little quota left, its requests are refused (L3).
local availability = require("apisix.plugins.azure-openai.routing.availability")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")

local ngx = ngx

local dict = ngx.shared["azure-openai-limits"]

local _M = {
    --- Why such a request is refused.
    REASON = "low-lane-reserve",
}

-- The share of its quota that the deployment has left over all candidates, as far as they have said.
local function remaining_share(pool, request)
    local sum, known = 0, 0
    for backend, deployment in pool_module.candidates(pool, request) do
        local share = availability.remaining_share(backend, deployment)
        if share then
            sum, known = sum + share, known + 1
        end
    end
    return known > 0 and sum / known or 1
end

-- On routes of tests one low request every few seconds finds out how much is left, unless high ones do.
local function probe_name(pool, request)
    return "probe|" .. pool.name .. "|" .. request.deployment
end

local function note_high(pool, request)
    local seconds = pool.limits.low_lane_probe_seconds
    if seconds then
        dict:set(probe_name(pool, request), true, seconds)
    end
end

local function may_probe(pool, request)
    local seconds = pool.limits.low_lane_probe_seconds
    return seconds ~= nil and dict:add(probe_name(pool, request), true, seconds) == true
end

--- Whether a request has to leave to others what is left.
-- @param lane string
-- @return boolean
function _M.is_refused(pool, request, lane)
    local reserve = pool.limits and pool.limits.low_lane_reserve_percent or 0
    if reserve == 0 then
        return false
    end
    if lane == "high" then
        note_high(pool, request)
        return false
    end
    local share = remaining_share(pool, request)
    if share * 100 >= reserve then
        return false
    end
    -- With nothing left, a probe would find out nothing: throttled backends are not asked.
    return share == 0 or not may_probe(pool, request)
end

return _M
