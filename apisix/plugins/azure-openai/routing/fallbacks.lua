--- What takes the place of a deployment that nobody can serve (B6).
local allow_list = require("apisix.plugins.azure-openai.request.allow_list")

local ipairs = ipairs
local setmetatable = setmetatable

local _M = {}

--- The plans to follow when that of the request's own deployment leads nowhere.
-- @param pool Pool
-- @param client table|nil the client's configuration; nil when nobody signs in
-- @param plan Plan
-- @return Plan[] in their order; one for each fallback that the client may use
function _M.of(pool, client, plan)
    local plans = {}
    for _, deployment in ipairs(pool.fallbacks[plan.deployment] or {}) do
        if not client or allow_list.may_use(client, deployment) then
            plans[#plans + 1] = setmetatable({ deployment = deployment }, { __index = plan })
        end
    end
    return plans
end

return _M
