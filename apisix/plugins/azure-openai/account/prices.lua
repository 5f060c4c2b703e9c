--- What an answer costs, by list prices (renderer/data/model-pricing.json tells the units).
local memo = require("apisix.plugins.azure-openai.base.memo")

local ipairs = ipairs
local math_min = math.min

local PER_MILLION = 1e-6
local PER_THOUSAND = 1e-3
local SECONDS_PER_MINUTE = 60
-- Kinds of tokens with prices of their own; they are part of the prompt and of the completion.
local OTHER_THAN_TEXT = { "audio", "image" }

local _M = {}

-- The date of a model's version, as OpenAI and Anthropic write it.
local DATES = { "%-%d%d%d%d%-%d%d%-%d%d$", "%-%d%d%d%d%d%d%d%d$" }

-- "gpt-4o-2024-08-06" -> "gpt-4o"
local undated = memo.of(function(name)
    for _, date in ipairs(DATES) do
        name = name:gsub(date, "")
    end
    return name
end)

-- A model's price, with or without the date of its version.
local function price_named(pricing, name)
    return name and (pricing[name] or pricing[undated(name)])
end

-- The price that a deployment's name tells: the client's name for it, or the backend's.
local function price_of_deployment(pricing, backend, deployment)
    local own_name = backend.deployments and backend.deployments[deployment]
    return price_named(pricing, deployment) or price_named(pricing, own_name)
end

-- The prices of text. Above some length of the prompt many models have others.
local function text_prices(price, prompt_tokens)
    if price.long_from and prompt_tokens > price.long_from then
        return price.long_prompt,
            price.long_cached,
            price.long_completion,
            price.long_cache_write or price.long_prompt
    end
    return price.prompt, price.cached, price.completion, price.cache_write or price.prompt
end

-- What sound or images cost more than as many tokens of text.
local function surcharge(price, usage, kind, prompt, cached, completion)
    local own_prompt = price[kind .. "_prompt"] or prompt
    local own_cached = price[kind .. "_cached"] or price[kind .. "_prompt"] or cached
    local own_completion = price[kind .. "_completion"] or completion
    local asked = usage[kind .. "_prompt"] or 0
    local remembered = math_min(usage[kind .. "_cached"] or 0, asked)
    local answered = usage[kind .. "_completion"] or 0
    return (asked - remembered) * (own_prompt - prompt)
        + remembered * (own_cached - cached)
        + answered * (own_completion - completion)
end

local function of_tokens(price, usage)
    local prompt, cached, completion, cache_write = text_prices(price, usage.prompt)
    local written = usage.cache_write or 0
    local sum = (usage.prompt - usage.cached - written) * prompt
        + usage.cached * cached
        + written * cache_write
        + usage.completion * completion
    for _, kind in ipairs(OTHER_THAN_TEXT) do
        sum = sum + surcharge(price, usage, kind, prompt, cached, completion)
    end
    return sum * PER_MILLION
end

local function of_units(price, usage)
    return (usage.seconds or 0) / SECONDS_PER_MINUTE * (price.minute or 0)
        + (usage.characters or 0) * PER_MILLION * (price.characters or 0)
        + (usage.images or 0) * (price.image or 0)
        + (usage.video_seconds or 0) * (price.video or 0)
        + (usage.large_video_seconds or 0) * (price.large_video or price.video or 0)
end

local function of_tools(price, usage)
    return (usage.web_searches or 0) * PER_THOUSAND * (price.web_search or 0)
end

--- The cost of some usage, by the configured prices: of the model that answered, else of the deployment, which often
--- has its model's name.
-- @param pricing table|nil model -> price
-- @param backend Backend that served; provisioned throughput is paid by the hour, so only its tools cost more
-- @param model string|nil as the backend reports it
-- @param deployment string
-- @param usage Usage
-- @return number|nil USD, nil for models without a price
function _M.cost(pricing, backend, model, deployment, usage)
    local price = pricing
        and (price_named(pricing, model) or price_of_deployment(pricing, backend, deployment))
    if backend.provisioned_usd_per_hour then
        return price and of_tools(price, usage) or 0
    end
    return price and of_tokens(price, usage) + of_units(price, usage) + of_tools(price, usage) or nil
end

--- Whether any answer of a deployment has a cost, whichever model it names.
-- @param backend Backend
-- @param deployment string the client's name for it
-- @return boolean
function _M.is_sure(pricing, backend, deployment)
    return backend.provisioned_usd_per_hour ~= nil
        or (pricing ~= nil and price_of_deployment(pricing, backend, deployment) ~= nil)
end

return _M
