--- What tokens cost.
local PER_MILLION = 1e-6

local _M = {}

-- The price of the model that answered, with or without the date of its version ("gpt-4o-2024-08-06" -> "gpt-4o"), else
-- of the deployment, which often has its model's name.
local function price_of(pricing, model, deployment)
    return model and (pricing[model] or pricing[model:gsub("%-%d%d%d%d%-%d%d%-%d%d$", "")])
        or pricing[deployment]
end

--- The cost of some usage, by the configured prices.
-- @param pricing table|nil model -> { prompt, cached, completion } in USD per million tokens
-- @param model string|nil as the backend reports it
-- @param deployment string
-- @param usage Usage
-- @return number|nil USD, nil for models without a price
function _M.cost(pricing, model, deployment, usage)
    local price = pricing and price_of(pricing, model, deployment)
    if not price then
        return nil
    end
    local fresh = usage.prompt - usage.cached
    return (fresh * price.prompt + usage.cached * price.cached + usage.completion * price.completion)
        * PER_MILLION
end

return _M
