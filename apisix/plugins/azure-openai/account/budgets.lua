--- Budgets of clients: tokens and USD in an hour, a day and a month of the calendar, in UTC. What a request uses counts
--- when it is known, in the period that it is then.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local counts = require("apisix.plugins.azure-openai.account.budget_counts")
local calendar = require("apisix.plugins.azure-openai.base.calendar")
local errors = require("apisix.plugins.azure-openai.base.errors")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local math_ceil = math.ceil
local math_floor = math.floor
local math_max = math.max
local math_min = math.min
local os_date = os.date
local table_concat = table.concat

local AUTH = "azure-openai-auth"
-- Prices are multiples of 0.0001 USD for a million tokens, so in this unit the costs of tokens are whole numbers.
local UNITS_PER_USD = 1e10
-- No request costs as much. It keeps sums in the range of what Redis can add.
local MOST_USD = 1e6
local NEARLY = 0.8
-- What is 20 % shall not be shown as 19 %.
local ROUNDING = 1e-6
local HOUR_SECONDS, MINUTE_SECONDS = 3600, 60
local SHARE_EVERY_SECONDS = 5
-- These use nothing, and they let a client see, stop and remove what it has.
local FREE_METHODS = { GET = true, HEAD = true, DELETE = true, OPTIONS = true }

local _M = {
    --- Why such a request is refused.
    REASON = "client-budget",
}

---@class Budget
---@field unit string "tokens" or "usd"
---@field period string "hour", "day" or "month"
---@field limit number in that unit

---@class Standing
---@field client string
---@field unit string
---@field period string
---@field limit number
---@field used number in the same unit
---@field share number of the limit: 0 to 1, and above
---@field ends_at number when the period ends, in seconds since the epoch

local function scale(unit)
    return unit == "usd" and UNITS_PER_USD or 1
end

-- The client's name comes last, since it may hold any sign.
local function counter_of(client, budget)
    local period = calendar.period(budget.period)
    return { name = budget.unit .. "|" .. period.name .. "|" .. client.name, ends_at = period.ends_at }
end

local function counters_of(client)
    local list = {}
    for index, budget in ipairs(client.budgets) do
        list[index] = counter_of(client, budget)
    end
    return list
end

local function amount_text(unit, amount)
    return unit == "usd" and ("%.2f USD"):format(amount) or ("%.0f tokens"):format(amount)
end

local ARTICLES = { hour = "an hour", day = "a day", month = "a month" }

-- "1000 tokens a day"
local function words(standing)
    return amount_text(standing.unit, standing.limit) .. " " .. ARTICLES[standing.period]
end

local function end_text(standing)
    return os_date("!%Y-%m-%d %H:%M", standing.ends_at) .. " UTC"
end

-- One line in each period and replica says that a budget is nearly used up, and one that it is.
local function tell(standing, counter)
    if standing.share < NEARLY then
        return
    end
    local is_over = standing.share >= 1
    if counts.is_first(counter, is_over and "over" or "nearly") then
        core.log.warn(
            "azure-openai: client '",
            standing.client,
            is_over and "' has used up its budget of " or "' has used 80 % of its budget of ",
            words(standing),
            "; the next one begins at ",
            end_text(standing)
        )
    end
end

local function standings_of(client, counters)
    local list = {}
    for index, budget in ipairs(client.budgets) do
        local used = counts.used(counters[index]) / scale(budget.unit)
        list[index] = {
            client = client.name,
            unit = budget.unit,
            period = budget.period,
            limit = budget.limit,
            used = used,
            share = used / budget.limit,
            ends_at = counters[index].ends_at,
        }
        tell(list[index], counters[index])
    end
    return list
end

-- "in 3 hours"
local function duration_text(seconds)
    local size, name = MINUTE_SECONDS, "minute"
    if seconds >= 2 * 24 * HOUR_SECONDS then
        size, name = 24 * HOUR_SECONDS, "day"
    elseif seconds >= 2 * HOUR_SECONDS then
        size, name = HOUR_SECONDS, "hour"
    end
    local number = math_max(math_ceil(seconds / size), 1)
    return "in " .. number .. " " .. name .. (number == 1 and "" or "s")
end

local function refusal(standing)
    local seconds = math_max(standing.ends_at - ngx_now(), 1)
    return {
        status = 429,
        -- By this code coding agents tell a limit that lasts from one that passes.
        code = "insufficient_quota",
        message = ("This client's budget of %s is used up. The next one begins at %s, %s."):format(
            words(standing),
            end_text(standing),
            duration_text(seconds)
        ),
        reason = _M.REASON,
        retry_after_seconds = math_min(math_ceil(seconds), errors.LONGEST_RETRY_AFTER_SECONDS),
        is_final = seconds >= HOUR_SECONDS,
    }
end

-- Of several budgets that are used up, the one that lasts longest: before, it would be refused all the same.
local function longest_used_up(standings)
    local found
    for _, standing in ipairs(standings) do
        if standing.share >= 1 and (not found or standing.ends_at > found.ends_at) then
            found = standing
        end
    end
    return found
end

-- "18%; period=day; unit=usd, 3%; period=month; unit=tokens"; nil while enough is left of all.
local function notice(standings)
    local parts = {}
    for _, standing in ipairs(standings) do
        if standing.share >= NEARLY then
            local left = math_floor(math_max(100 - 100 * standing.share, 0) + ROUNDING)
            parts[#parts + 1] = left .. "%; period=" .. standing.period .. "; unit=" .. standing.unit
        end
    end
    return parts[1] and table_concat(parts, ", ")
end

--- Whether one of a client's budgets is in USD.
-- @param client table|nil
-- @return boolean
function _M.are_in_usd(client)
    for _, budget in ipairs(client and client.budgets or {}) do
        if budget.unit == "usd" then
            return true
        end
    end
    return false
end

local function is_free(request)
    local is_cancel = request.operation:lower():find("/cancel$") ~= nil
    return not request.is_upgrade and (FREE_METHODS[request.method] or is_cancel) or false
end

--- Whether a client's budgets allow a request. It may wait for Redis, once a second for each client.
-- @param client table|nil with `budgets`, a list of Budget
-- @param request Request
-- @return table|nil refusal, as of `limits.check`, with `is_final` when trying again soon is of no use
-- @return string|nil for the client, when little is left: "20%; period=day; unit=usd"
function _M.check(client, request)
    if not client or not client.budgets then
        return nil
    end
    local counters = counters_of(client)
    counts.refresh(client.name, counters)
    local standings = standings_of(client, counters)
    local used_up = not is_free(request) and longest_used_up(standings)
    return used_up and refusal(used_up) or nil, notice(standings)
end

local function amount_of(budget, tokens, cost_usd)
    if budget.unit == "tokens" then
        return tokens
    end
    return math_floor(math_min(cost_usd, MOST_USD) * UNITS_PER_USD + 0.5)
end

--- Charges a client's budgets, in any phase.
-- @param client table|nil
-- @param tokens number
-- @param cost_usd number
function _M.charge(client, tokens, cost_usd)
    if not client or not client.budgets then
        return
    end
    local charged = {}
    for _, budget in ipairs(client.budgets) do
        local amount = amount_of(budget, tokens, cost_usd)
        if amount > 0 then
            local counter = counter_of(client, budget)
            counts.add(counter, amount)
            charged[#charged + 1] = counter
        end
    end
    if #charged > 0 then
        counts.share_later(client.name, charged)
    end
end

-- The clients that have budgets.
local function clients()
    local metadata, list = plugin.plugin_metadata(AUTH), {}
    for _, client in ipairs(metadata and metadata.value and metadata.value.clients or {}) do
        if client.budgets then
            list[#list + 1] = client
        end
    end
    return list
end

--- How much is used of all budgets, as far as this replica knows.
-- @param only table|nil the only client that counts; nil for all
-- @return Standing[]
function _M.standings(only)
    local list = {}
    for _, client in ipairs(clients()) do
        if not only or client.name == only.name then
            for _, standing in ipairs(standings_of(client, counters_of(client))) do
                list[#list + 1] = standing
            end
        end
    end
    return list
end

-- So that all replicas show the same, and Redis gets after an outage what it missed.
local function share_all(premature)
    if premature then
        return
    end
    local counters = {}
    for _, client in ipairs(clients()) do
        for _, counter in ipairs(counters_of(client)) do
            counters[#counters + 1] = counter
        end
    end
    counts.share(counters)
end

--- Begins to follow what the other replicas count. In one worker.
function _M.watch()
    ngx.timer.every(SHARE_EVERY_SECONDS, share_all)
end

return _M
