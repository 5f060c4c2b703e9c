--- Hours, days and months of the calendar, in UTC.
local ngx = ngx
local os_date = os.date
local os_time = os.time

local HOUR_SECONDS, DAY_SECONDS = 3600, 86400

local _M = {}

---@class Period
---@field name string for example "2026-11-29T17", "2026-11-29" or "2026-11"
---@field starts_at number seconds since the epoch
---@field ends_at number seconds since the epoch: the first second of the next one

local function days_of_month(date)
    -- The day before the first of the next month. C normalises dates; noon keeps it clear of every border.
    return os_date("*t", os_time({ year = date.year, month = date.month + 1, day = 0, hour = 12 })).day
end

local MAKERS = {
    hour = function(now)
        local starts_at = now - now % HOUR_SECONDS
        return {
            name = os_date("!%Y-%m-%dT%H", now),
            starts_at = starts_at,
            ends_at = starts_at + HOUR_SECONDS,
        }
    end,
    day = function(now)
        local starts_at = now - now % DAY_SECONDS
        return { name = os_date("!%Y-%m-%d", now), starts_at = starts_at, ends_at = starts_at + DAY_SECONDS }
    end,
    month = function(now)
        local date = os_date("!*t", now)
        local starts_at = now - now % DAY_SECONDS - (date.day - 1) * DAY_SECONDS
        return {
            name = os_date("!%Y-%m", now),
            starts_at = starts_at,
            ends_at = starts_at + days_of_month(date) * DAY_SECONDS,
        }
    end,
}

--- The period that holds a moment: "month", 29 November 2026 -> { name = "2026-11", … }.
-- @param kind string "hour", "day" or "month"
-- @param at number seconds since the epoch
-- @return Period
function _M.period_at(kind, at)
    return MAKERS[kind](at)
end

local last = {}

--- The period that it is now.
-- @param kind string as for `period_at`
-- @return Period the same table until the next one begins
function _M.period(kind)
    local now, period = ngx.time(), last[kind]
    if not period or now < period.starts_at or now >= period.ends_at then
        period = _M.period_at(kind, now)
        last[kind] = period
    end
    return period
end

return _M
