--- What takes the place of a deployment that nobody can serve (B6).
local allow_list = require("apisix.plugins.azure-openai.request.allow_list")

local ipairs = ipairs
local pairs = pairs

local _M = {}

-- A plan of its own: what the attempts show of where something is changes it.
local function with_deployment(plan, deployment)
    local other = {}
    for name, value in pairs(plan) do
        other[name] = value
    end
    other.deployment = deployment
    return other
end

--- The plans to follow when that of the request's own deployment leads nowhere.
-- @param pool Pool
-- @param client table|nil the client's configuration; nil when nobody signs in
-- @param plan Plan
-- @return Plan[] in their order; one for each fallback that the client may use
function _M.of(pool, client, plan)
    local plans = {}
    for _, deployment in ipairs(pool.fallbacks[plan.deployment] or {}) do
        if not client or allow_list.may_use(client, deployment) then
            plans[#plans + 1] = with_deployment(plan, deployment)
        end
    end
    return plans
end

return _M
