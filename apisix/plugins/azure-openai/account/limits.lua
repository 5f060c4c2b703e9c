--- Decides whether a request may run: its client's deployments, budgets and per-minute limits, the buckets of the
--- lanes, and the reserve that low-priority work leaves to the rest.
local core = require("apisix.core")
local budgets = require("apisix.plugins.azure-openai.account.budgets")
local countable = require("apisix.plugins.azure-openai.account.countable")
local reserve = require("apisix.plugins.azure-openai.account.reserve")
local windows = require("apisix.plugins.azure-openai.base.windows")
local allow_list = require("apisix.plugins.azure-openai.request.allow_list")
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local ipairs = ipairs
local math_ceil = math.ceil
local math_max = math.max

local MINUTE_SECONDS = 60

local _M = {}

local function limit_of(name, kind, maximum, window_seconds)
    return { name = name, kind = kind, maximum = maximum, window_seconds = window_seconds }
end

-- The limits that apply, each a bucket of requests or of tokens.
local function buckets(client, pool, lane)
    local list = {}
    if client and client.requests_per_minute then
        list[#list + 1] = limit_of(
            "client-requests|" .. client.name,
            "requests",
            client.requests_per_minute,
            MINUTE_SECONDS
        )
    end
    if client and client.tokens_per_minute then
        list[#list + 1] =
            limit_of("client-tokens|" .. client.name, "tokens", client.tokens_per_minute, MINUTE_SECONDS)
    end
    local limits = pool.limits
    if limits and limits.strategy then
        local maximum = lane == "low" and limits.low_limit or limits.high_limit
        local bucket = limit_of(
            "lane|" .. lane,
            limits.strategy == "req" and "requests" or "tokens",
            maximum,
            limits.window_seconds
        )
        bucket.reject_code, bucket.reject_message = limits.reject_code, limits.reject_message
        list[#list + 1] = bucket
    end
    return list
end

local function refusal(status, code, message, reason, seconds)
    return {
        status = status,
        code = code,
        message = message,
        reason = reason,
        retry_after_seconds = status == 429 and math_max(math_ceil(seconds), 1) or nil,
    }
end

-- A request counts before it runs. Tokens count afterwards, since their number is not known before.
local function check_bucket(bucket)
    local used, seconds
    if bucket.kind == "requests" then
        used, seconds = windows.add(bucket.name, 1, bucket.window_seconds)
        used = used - 1
    else
        used, seconds = windows.add(bucket.name, 0, bucket.window_seconds)
    end
    if used < bucket.maximum then
        return nil
    end
    local status = bucket.reject_code or 429
    local message = bucket.reject_message
        or (
            "The limit of "
            .. bucket.maximum
            .. " "
            .. bucket.kind
            .. " per minute of this client is used up."
        )
    return refusal(
        status,
        status ~= 429 and "rate_limited" or nil,
        message,
        bucket.name:match("^[^|]+"),
        seconds
    )
end

--- The lane of a request: the client's own, else what it asks for, else "high".
-- @return string "high" or "low"
function _M.lane(ctx, client)
    if client and client.lane then
        return client.lane
    end
    local wanted = core.request.header(ctx, "x-priority")
    return type(wanted) == "string" and wanted:lower() == "low" and "low" or "high"
end

local function check_reserve(pool, request, lane)
    if not reserve.is_refused(pool, request, lane) then
        return nil
    end
    return refusal(
        429,
        nil,
        "The remaining quota is reserved for high-priority requests.",
        reserve.REASON,
        pool.failover.cooldown_default_seconds
    )
end

local function check_deployments(client, request)
    if not client or not client.deployments then
        return nil
    end
    if websocket.is_optional(request) then
        return refusal(
            426,
            nil,
            "This client may use certain deployments only; a WebSocket names them out of sight. Use plain HTTP.",
            "model_not_allowed"
        )
    end
    local fault, is_ambiguous = allow_list.fault(client, request)
    if is_ambiguous then
        return refusal(400, "ambiguous_request", fault, "ambiguous_request")
    end
    return fault and refusal(403, "model_not_allowed", fault, "model_not_allowed") or nil
end

local function check_countable(client, pool, request)
    local status, code, message, reason = countable.fault(client, pool, request)
    return status and refusal(status, code, message, reason, 1) or nil
end

--- Decides whether a request may run.
-- @param client table|nil
-- @param request table with `deployment`
-- @param lane string
-- @return table|nil refusal { status, code, message, reason, retry_after_seconds, is_final }
-- @return table buckets to `charge` afterwards
-- @return string|nil what to tell a client of whose budgets little is left
function _M.check(client, pool, request, lane)
    local refused = check_deployments(client, request)
        or check_countable(client, pool, request)
        or check_reserve(pool, request, lane)
    if refused then
        return refused, {}
    end
    local notice
    refused, notice = budgets.check(client, request)
    if refused then
        return refused, {}, notice
    end
    local list = buckets(client, pool, lane)
    for _, bucket in ipairs(list) do
        refused = check_bucket(bucket)
        if refused then
            return refused, {}, notice
        end
    end
    return nil, list, notice
end

--- Charges what was used, in any phase.
-- @param account table { client, buckets (as `check` returned them) }, as in a RequestState
-- @param tokens number
-- @param cost_usd number
function _M.charge(account, tokens, cost_usd)
    budgets.charge(account.client, tokens, cost_usd)
    if tokens == 0 then
        return
    end
    local charged = {}
    for _, bucket in ipairs(account.buckets) do
        if bucket.kind == "tokens" then
            charged[#charged + 1] = { name = bucket.name, amount = tokens, seconds = bucket.window_seconds }
        end
    end
    windows.add_later(charged)
end

return _M
