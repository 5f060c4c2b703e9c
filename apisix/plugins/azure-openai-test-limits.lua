--- Limits that the gateway counts by itself, from what requests say, as a sample policy of Azure API Management does.
--- Only a route of end-to-end tests has them: in production backends say how much is left (account/reserve.lua).
local core = require("apisix.core")
local errors = require("apisix.plugins.azure-openai.base.errors")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local windows = require("apisix.plugins.azure-openai.base.windows")
local request_body = require("apisix.plugins.azure-openai.request.body")

local ngx = ngx
local ipairs = ipairs
local tonumber = tonumber
local type = type
local math_ceil = math.ceil
local math_max = math.max
local math_min = math.min

local PLUGIN = "azure-openai-test-limits"
local KINDS = { "tokens", "requests" }
local WINDOW_SECONDS = { tokens = 60, requests = 10 }
-- What a model writes when a request sets no maximum.
local USUAL_TOKENS = 16
local CHARACTERS_PER_TOKEN = 4
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 11980, -- right after azure-openai-test-headers
    name = PLUGIN,
    schema = document.schema,
    check_schema = schemas.checker(document),
}

-- The characters of a text or of a list of texts.
local function length(input)
    if type(input) == "string" then
        return #input
    end
    local sum = 0
    for _, text in ipairs(type(input) == "table" and input or {}) do
        sum = sum + length(text)
    end
    return sum
end

-- {"max_tokens":10,"best_of":2} -> 20; for embeddings {"input":"12345678"} -> 2
local function tokens_of(request)
    local body = core.json.decode(request_body.slice(request.body, 0, request.body.size)) or {}
    if request.operation == "embeddings" then
        return math_ceil(length(body.input) / CHARACTERS_PER_TOKEN)
    end
    local maximum = tonumber(body.max_tokens)
    if not maximum then
        return USUAL_TOKENS
    end
    local product = maximum * (tonumber(body.best_of) or 1)
    -- Infinity times 0 is no number, and compares with nothing.
    return product > 0 and math_ceil(product) or 0
end

local function window_name(kind, deployment)
    return "test-" .. kind .. "|" .. deployment
end

-- What is left of the limits of a deployment, and in how many seconds their windows end.
local function read(conf, deployment)
    local left, seconds = {}, {}
    for _, kind in ipairs(KINDS) do
        local used
        used, seconds[kind] = windows.add(window_name(kind, deployment), 0, WINDOW_SECONDS[kind])
        left[kind] = math_max(conf[kind][deployment] - used, 0)
    end
    return left, seconds
end

local function refuse(ctx, kind, reason, seconds)
    local shown = math_max(math_ceil(seconds), 1)
    ctx.azure_openai.error = kind .. "-" .. reason
    core.response.set_header("Retry-After", shown)
    core.response.set_header("x-gw-ratelimit-reason", kind .. "-" .. reason)
    core.response.set_header("x-gw-ratelimit-value", ctx.azure_openai_test_limits.left[kind])
    core.response.set_header("x-apim-" .. kind .. "-retry-after", shown)
    return errors.respond(ctx, 429, "Too few " .. kind .. " are left for this request. Try again later.")
end

-- The limit that refuses a request, and why. Its reserve refuses the low lane; when nothing is left, it refuses both.
local function refusing(conf, left, deployment, lane)
    for _, kind in ipairs(KINDS) do
        if lane == "low" and left[kind] * 100 < conf[kind][deployment] * conf.low_lane_reserve_percent then
            return kind, "below-low-priority-threshold"
        end
        if left[kind] == 0 then
            return kind, "limit"
        end
    end
    return nil
end

-- Runs after azure-openai-gateway has read the request.
function _M.access(conf, ctx)
    local state = ctx.azure_openai
    local deployment = state.request.deployment
    if not (conf.tokens[deployment] and conf.requests[deployment]) then
        return errors.respond(ctx, 404, "This route has no limits for the deployment.")
    end
    local left, seconds = read(conf, deployment)
    local counted = { left = left }
    ctx.azure_openai_test_limits = counted
    local kind, reason = refusing(conf, left, deployment, state.lane)
    if kind then
        return refuse(ctx, kind, reason, seconds[kind])
    end
    -- More than the limit would say no more, and Redis counts only what 64 bits can hold.
    counted.cost = { tokens = math_min(tokens_of(state.request), conf.tokens[deployment]), requests = 1 }
    return nil
end

-- Counts what a request cost, unless it was refused.
local function charge(deployment, counted)
    local list = {}
    for index, kind in ipairs(KINDS) do
        local amount = counted.cost[kind]
        list[index] =
            { name = window_name(kind, deployment), amount = amount, seconds = WINDOW_SECONDS[kind] }
        counted.left[kind] = math_max(counted.left[kind] - amount, 0)
    end
    windows.add_later(list)
end

function _M.header_filter(conf, ctx)
    local counted = ctx.azure_openai_test_limits
    if not counted then
        return
    end
    local deployment = ctx.azure_openai.request.deployment
    if counted.cost and ngx.status ~= 429 then
        charge(deployment, counted)
    end
    for _, kind in ipairs(KINDS) do
        ngx.header["x-gw-remaining-" .. kind] = counted.left[kind]
        ngx.header["x-apim-remaining-" .. kind] = counted.left[kind]
        ngx.header["x-apim-total-" .. kind] = conf[kind][deployment]
    end
end

return _M
