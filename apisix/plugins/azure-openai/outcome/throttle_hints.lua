--- Reads from an answer how long a throttled deployment must rest, and how much of its quota is left.
--
-- Azure says it in several places and sometimes wrongly: -1, 0, a day, prose. The first hint that makes sense counts.
-- Source: Azure OpenAI quota documentation and the headers seen in SDK issue threads.
local core = require("apisix.core")

local ngx = ngx
local ipairs = ipairs
local has_prefix = core.string.has_prefix
local tonumber = tonumber
local math_min = math.min
local math_max = math.max

local DURATION_UNITS = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
-- How units begin in prose; longer beginnings first.
local UNIT_PREFIXES = { { "milli", 0.001 }, { "ms", 0.001 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } }
local SHORTEST_SECONDS = 0.001
local SPENT_SECONDS = 1
-- The two limits of a deployment; each has headers of its own.
local KINDS = { "requests", "tokens" }
local RESET_PREFIXES = { "x-ratelimit-reset-", "x-rate-limit-reset-" }

local _M = { KINDS = KINDS }

local function positive(number)
    -- The comparison with huge also refuses "inf"; "nan" fails the first one.
    if number and number > 0 and number < math.huge then
        return number
    end
    return nil
end

-- "1s" -> 1, "6m0s" -> 360, "120ms" -> 0.12, "20" -> 20.
local function parse_duration(text)
    local plain = tonumber(text)
    if plain then
        return positive(plain)
    end

    local total, covered = 0, 0
    for number, unit in text:gmatch("(%d+%.?%d*)(%a+)") do
        local seconds = DURATION_UNITS[unit]
        if not seconds then
            return nil
        end
        total = total + tonumber(number) * seconds
        covered = covered + #number + #unit
    end
    if covered ~= #text then
        return nil
    end
    return positive(total)
end

-- "00:00:20" -> 20.
local function parse_clock(text)
    local hours, minutes, seconds = text:match("^(%d+):(%d%d):(%d%d)$")
    return hours and hours * 3600 + minutes * 60 + seconds
end

local function parse_retry_after(text)
    local seconds = tonumber(text) or parse_clock(text)
    if seconds then
        return positive(seconds)
    end
    local when = ngx.parse_http_time(text)
    return when and positive(when - ngx.now())
end

local function first_value(headers, name)
    local value = headers[name]
    if type(value) == "table" then
        value = value[1]
    end
    return value
end

-- The limits of which nothing is left.
local function used_up(headers)
    local kinds = {}
    for _, kind in ipairs(KINDS) do
        if tonumber(first_value(headers, "x-ratelimit-remaining-" .. kind)) == 0 then
            kinds[#kinds + 1] = kind
        end
    end
    return kinds
end

-- Two limits can be exhausted; the later reset counts.
local function longest_reset(headers, kinds)
    local longest
    for _, kind in ipairs(kinds) do
        for _, prefix in ipairs(RESET_PREFIXES) do
            local value = first_value(headers, prefix .. kind)
            local seconds = value and parse_duration(value)
            if seconds then
                longest = math_max(longest or 0, seconds)
            end
        end
    end
    return longest
end

-- A limit with quota left says when it will be whole again. Only the reset of an exhausted limit matters.
local function parse_resets(headers)
    return longest_reset(headers, used_up(headers)) or longest_reset(headers, KINDS)
end

-- "seconds" -> 1, "minutes" -> 60, "ms" -> 0.001; no unit means seconds.
local function unit_seconds(unit)
    for _, entry in ipairs(UNIT_PREFIXES) do
        if has_prefix(unit, entry[1]) then
            return entry[2]
        end
    end
    return 1
end

-- "retry after 26 seconds" -> 26, "try again in 1m30s" -> 90.
local function parse_message(body)
    local text = body:match("[Rr]etry after (%d[%w.]*%s*%a*)")
        or body:match("[Tt]ry again in (%d[%w.]*%s*%a*)")
    if not text then
        return nil
    end
    local compound = text:match("^%d+%.?%d*%a+%d[%d.%a]*")
    local seconds = compound and parse_duration((compound:gsub("%.$", "")))
    if seconds then
        return seconds
    end
    local number, unit = text:match("^(%d+%.?%d*)%s*(%a*)")
    seconds = tonumber(number)
    return seconds and positive(seconds * unit_seconds(unit))
end

local function milliseconds(headers, name)
    local value = first_value(headers, name)
    local number = value and positive(tonumber(value))
    return number and number / 1000
end

-- What the headers say outright: in how many seconds to try again.
local function told_seconds(headers)
    local retry_after = first_value(headers, "retry-after")
    return milliseconds(headers, "retry-after-ms")
        or retry_after and parse_retry_after(retry_after)
        or milliseconds(headers, "x-ms-retry-after-ms")
end

local function hinted_seconds(headers, body)
    return told_seconds(headers) or parse_resets(headers) or body and parse_message(body)
end

--- The cool-down that a throttled answer asks for: `retry-after-ms: 700` -> 0.7, "retry after 26 seconds" -> 26.
-- @param headers table the answer's headers, read without regard to case
-- @param body string|nil
-- @param failover table with cooldown_default_seconds and cooldown_max_seconds
-- @return number seconds, more than 0 and at most cooldown_max_seconds
function _M.cooldown_seconds(headers, body, failover)
    local seconds = hinted_seconds(headers, body) or failover.cooldown_default_seconds
    return math_max(math_min(seconds, failover.cooldown_max_seconds), SHORTEST_SECONDS)
end

--- The rest that a 503 asks for: `Retry-After: 30` -> 30.
-- @param headers table|nil
-- @param failover table with cooldown_max_seconds
-- @return number|nil seconds, at most cooldown_max_seconds; nil when it asks for none
function _M.rest_seconds(headers, failover)
    local seconds = headers and told_seconds(headers)
    return seconds and math_min(seconds, failover.cooldown_max_seconds)
end

--- How long others are asked first after a success that used up the quota: until the reset that it names, else 1 s.
-- @param headers table
-- @param failover table with cooldown_max_seconds
-- @return number seconds
function _M.spent_seconds(headers, failover)
    local seconds = told_seconds(headers) or longest_reset(headers, used_up(headers)) or SPENT_SECONDS
    return math_max(math_min(seconds, failover.cooldown_max_seconds), SHORTEST_SECONDS)
end

--- How much of one of its limits a deployment reports as left: `x-ratelimit-remaining-tokens: 900` -> 900.
-- @param headers table
-- @param kind string one of KINDS
-- @return number|nil what is left; nil when the answer does not say
-- @return number|nil the limit, in a minute
function _M.left(headers, kind)
    local remaining = tonumber(first_value(headers, "x-ratelimit-remaining-" .. kind))
    local limit = tonumber(first_value(headers, "x-ratelimit-limit-" .. kind))
    -- -1 means that it is not known.
    return remaining == 0 and 0 or positive(remaining), positive(limit)
end

--- Whether no further request is allowed, however small.
-- @param headers table
-- @return boolean
function _M.is_out_of_requests(headers)
    return tonumber(first_value(headers, "x-ratelimit-remaining-requests")) == 0
end

--- Tells whether a successful answer used up the deployment's quota.
-- @param headers table
-- @return boolean
function _M.is_exhausted(headers)
    return #used_up(headers) > 0
end

return _M
