--- Whether what a request would use can be counted against the budgets of its client. What cannot would be used without
--- a limit, so it is refused before a backend is asked.
local budgets = require("apisix.plugins.azure-openai.account.budgets")
local followers = require("apisix.plugins.azure-openai.account.followers")
local prices = require("apisix.plugins.azure-openai.account.prices")
local allow_list = require("apisix.plugins.azure-openai.request.allow_list")
local operations = require("apisix.plugins.azure-openai.request.operations")
local websocket = require("apisix.plugins.azure-openai.request.websocket")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")

local ipairs = ipairs
local setmetatable = setmetatable

-- What these use is reported nowhere, or only after hours.
local UNCOUNTED = {
    ["/batches"] = true,
    ["/evals"] = true,
    ["/fine_tuning"] = true,
    ["/messages/batches"] = true,
    ["/video"] = true,
    ["/videos"] = true,
}
-- On no stored resource.
local NO_RESOURCE = "/"
local USES_NOTHING = { ["messages/count_tokens"] = true }

local COUNT, COST, AMBIGUOUS = "not_countable", "cost_unknown", "ambiguous_request"
local OF_COST = "This client has a budget in USD, and "

local _M = {}

-- Keys for a browser and WebRTC calls lead past the gateway. An operation that is unknown may make a model work.
local function is_uncounted(request)
    if request.is_upgrade or request.operation:lower():find("/cancel$") then
        return false
    end
    return UNCOUNTED[request.resource]
        or request.resource == NO_RESOURCE
            and not operations.is_inference(request)
            and not USES_NOTHING[operations.name(request)]
end

-- Whether every backend that may serve a deployment has a price for it. Without one, the backend that owns what the
-- request refers to may serve it by the same name.
local function is_priced(pool, wanted)
    local is_served = false
    for backend in pool_module.candidates(pool, wanted) do
        if not prices.is_sure(pool.pricing, backend, wanted.deployment) then
            return false
        end
        is_served = true
    end
    return is_served or prices.is_sure(pool.pricing, {}, wanted.deployment)
end

-- A deployment without a price that may answer a request: its own, or one that takes its place. Nil when there is none.
local function unpriced(client, pool, request)
    if not is_priced(pool, request) then
        return request.deployment
    end
    for _, name in ipairs(pool.fallbacks[request.deployment] or {}) do
        local wanted = setmetatable({ deployment = name }, { __index = request })
        if allow_list.may_use(client, name) and not is_priced(pool, wanted) then
            return name
        end
    end
    return nil
end

-- The backend reports nothing of what further deployments use.
local function further_name(request)
    for _, name in ipairs(allow_list.further_names(request)) do
        if name ~= request.deployment then
            return name
        end
    end
    return nil
end

-- Its run has named a deployment.
local function continues_a_run(request)
    return request.operation:lower():find("/submit_tool_outputs$") ~= nil
end

local function unknown(message)
    return 403, COST, OF_COST .. message, COST
end

local function cost_fault(client, pool, request)
    if websocket.is_optional(request) then
        return 426, nil, OF_COST .. "a WebSocket names its model out of sight. Use plain HTTP.", COST
    end
    if request.ambiguous then
        local member = allow_list.shown("member", request.ambiguous)
        return 400, AMBIGUOUS, OF_COST .. member .. " stands twice or in another case.", AMBIGUOUS
    end
    if not operations.is_inference(request) or continues_a_run(request) then
        return nil
    end
    if request.facts and not request.facts.deployments then
        return unknown("the request is too large to see which deployments it names.")
    end
    if request.deployment == "" then
        return unknown("the request names no deployment.")
    end
    local further = further_name(request)
    if further then
        return unknown(allow_list.shown("deployment", further) .. " would add a cost that no answer reports.")
    end
    local without_price = unpriced(client, pool, request)
    if without_price then
        local name = allow_list.shown("deployment", without_price)
        return unknown(name .. " has no price. An operator can add it to MODEL_PRICING by this name.")
    end
    return nil
end

--- Why a client with budgets may not make a request; nothing when it may.
-- @param client table|nil
-- @param pool Pool
-- @param request Request
-- @return number|nil status
-- @return string|nil code; nil for the usual one of the status
-- @return string|nil message
-- @return string|nil reason, for the record
function _M.fault(client, pool, request)
    if not client or not client.budgets or (request.is_bodyless and not request.is_upgrade) then
        return nil
    end
    if is_uncounted(request) then
        local message = "This client has a budget, and what this request uses cannot be counted."
        return 403, COUNT, message, COUNT
    end
    if operations.is_background(request) and not followers.have_room(client) then
        local message = "So many responses are made in the background that no further one can be counted now."
        return 429, nil, message, COUNT
    end
    if budgets.are_in_usd(client) then
        return cost_fault(client, pool, request)
    end
    return nil
end

return _M
