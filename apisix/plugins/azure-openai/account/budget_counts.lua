--- Counts what clients use of their budgets: in memory that workers share and, when Redis is configured, over replicas.
--
-- No count is lost or taken twice. Each replica counts in its own memory how much it has charged in a period, and tells
-- Redis that number, not a difference: Redis adds what it has not had yet. So a message whose answer got lost can be
-- sent again, and what was charged during an outage is told after it. Should Redis lose its data, the replicas bring
-- back what it had last told them; a generation says whether a total is from before.
--
-- A request waits for Redis at most once a second, and for all counts of its client together.
local core = require("apisix.core")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local io = io
local math_max = math.max
local math_min = math.min
local pairs = pairs
local pcall = pcall
local string_byte = string.byte
local tonumber = tonumber
local type = type

local dict = ngx.shared["azure-openai-budgets"]

local FRESH_SECONDS = 1
-- Late counts still find their period, and clocks may differ.
local GRACE_SECONDS = 3600
-- In one round trip.
local MOST_COUNTERS = 100
-- What is more comes from nobody who counts.
local LARGEST_COUNT = 1e18
local CHARGED, SEEN, ASKED = "charged|", "seen|", "asked|"
local NOTHING = { generation = "", confirmed = 0, total = 0 }

local _M = {}

---@class Counter
---@field name string of what is counted and its period
---@field ends_at number when the period ends, in seconds since the epoch

-- A hash for each counter: the total is `floor`, what replicas knew from before a loss of data, and `sum`, what was
-- added since. `of:…` is how much of a replica's charges is in there.
local SHARE_SCRIPT = [[
local key, replica, charged, confirmed = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local generation, known, fresh, expires = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local current = redis.call('HGET', key, 'generation')
if not current then
    if charged == '0' and known == '0' then return {'', '0'} end
    current = fresh
    redis.call('HSET', key, 'generation', current)
end
local floor = tonumber(redis.call('HGET', key, 'floor') or '0')
if current ~= generation and tonumber(known) > floor then
    floor = tonumber(known)
    redis.call('HSET', key, 'floor', known)
end
local noted = redis.call('HGET', key, 'of:' .. replica) or confirmed
local more = tonumber(charged) - tonumber(noted)
if more > 0 then
    redis.call('HINCRBY', key, 'sum', string.format('%.0f', more))
    redis.call('HSET', key, 'of:' .. replica, charged)
end
local sum = tonumber(redis.call('HGET', key, 'sum') or '0')
if redis.call('TTL', key) < 0 then redis.call('EXPIREAT', key, expires) end
return {current, string.format('%.0f', floor + sum)}
]]

local function digits(number)
    return ("%.0f"):format(number)
end

local function random_name()
    local source = io.open("/dev/urandom", "rb")
    local bytes = source and source:read(8)
    if source then
        source:close()
    end
    local text = bytes or digits(ngx_now() * 1000) .. ngx.worker.pid()
    return (text:gsub(".", function(byte)
        return ("%02x"):format(string_byte(byte))
    end))
end

-- Names this replica's memory: with another memory, it is another replica.
local function replica()
    local name = dict:get("replica")
    if not name then
        dict:add("replica", random_name())
        name = dict:get("replica")
    end
    return name
end

local function lifetime(counter)
    return math_max(counter.ends_at + GRACE_SECONDS - ngx_now(), 1)
end

-- What Redis has last told: "3f…a1 120 4500" -> { generation = "3f…a1", confirmed = 120, total = 4500 }.
local function seen(counter)
    local text = dict:get(SEEN .. counter.name)
    if not text then
        return NOTHING, false
    end
    local generation, confirmed, total = text:match("^(%x*) (%d+) (%d+)$")
    return { generation = generation, confirmed = tonumber(confirmed), total = tonumber(total) }, true
end

local function charged(counter)
    return dict:get(CHARGED .. counter.name) or 0
end

--- Adds to a counter, in any phase.
-- @param counter Counter
-- @param amount number
function _M.add(counter, amount)
    local _, err = dict:incr(CHARGED .. counter.name, amount, 0, lifetime(counter))
    if err then
        core.log.error("azure-openai: a budget cannot be counted: ", err)
    end
end

--- What has been used, as far as this replica knows.
-- @param counter Counter
-- @return number
function _M.used(counter)
    local told = seen(counter)
    return told.total + math_max(charged(counter) - told.confirmed, 0)
end

local function call_for(counter, amount)
    local told = seen(counter)
    return {
        "budget:" .. counter.name,
        replica(),
        digits(amount),
        digits(told.confirmed),
        told.generation,
        digits(told.total),
        replica() .. ("%x"):format(ngx_now() * 1000),
        digits(counter.ends_at + GRACE_SECONDS),
    }
end

-- A slower worker may have asked earlier.
local function is_older(told, generation, total)
    return told.generation == generation and told.total > total
end

local function note(counter, amount, result)
    local generation = type(result) == "table" and type(result[1]) == "string" and result[1]:match("^%x*$")
    local total = generation and tonumber(result[2])
    if not total or #generation > 64 or not (total >= 0 and total <= LARGEST_COUNT) then
        return
    end
    local told, is_known = seen(counter)
    if not is_known or not is_older(told, generation, total) then
        local text = generation .. " " .. digits(amount) .. " " .. digits(total)
        dict:set(SEEN .. counter.name, text, lifetime(counter))
    end
end

local function share_some(counters, first, last)
    local amounts, calls = {}, {}
    for index = first, last do
        local amount = charged(counters[index])
        amounts[#amounts + 1] = amount
        calls[#calls + 1] = call_for(counters[index], amount)
    end
    local results = shared_state.eval_each(SHARE_SCRIPT, calls) or {}
    for index, amount in ipairs(amounts) do
        note(counters[first + index - 1], amount, results[index])
    end
end

--- Tells Redis what this replica has charged, and learns what all have. Without Redis nothing happens.
-- @param counters Counter[]
function _M.share(counters)
    if not shared_state.is_configured() then
        return
    end
    for first = 1, #counters, MOST_COUNTERS do
        share_some(counters, first, math_min(first + MOST_COUNTERS - 1, #counters))
    end
end

local function are_known(counters)
    for _, counter in ipairs(counters) do
        local _, is_known = seen(counter)
        if not is_known then
            return false
        end
    end
    return true
end

--- Learns what all replicas have charged, unless that was done within the last second. For a request: it may wait for
--- Redis.
-- @param owner string whose counters they are
-- @param counters Counter[]
function _M.refresh(owner, counters)
    if not shared_state.is_configured() then
        return
    end
    if dict:add(ASKED .. owner, true, FRESH_SECONDS) or not are_known(counters) then
        _M.share(counters)
    end
end

-- By owner: what is to be told, and whether a timer is at it.
local waiting, is_telling = {}, {}

-- Also in a worker that stops: it finishes its requests, and what they used counts.
local function tell(_, owner)
    while waiting[owner] do
        local counters = {}
        for _, counter in pairs(waiting[owner]) do
            counters[#counters + 1] = counter
        end
        waiting[owner] = nil
        local ok, err = pcall(_M.share, counters)
        if not ok then
            core.log.error("azure-openai: cannot share what a budget has used: ", err)
        end
    end
    is_telling[owner] = nil
end

--- Tells Redis soon what was charged, in any phase. What comes meanwhile goes along.
-- @param owner string whose counters they are
-- @param counters Counter[]
function _M.share_later(owner, counters)
    if not shared_state.is_configured() then
        return
    end
    waiting[owner] = waiting[owner] or {}
    for _, counter in ipairs(counters) do
        waiting[owner][counter.name] = counter
    end
    if not is_telling[owner] then
        is_telling[owner] = ngx.timer.at(0, tell, owner)
    end
end

--- Says something of a counter once, in this replica.
-- @param counter Counter
-- @param what string
-- @return boolean whether it is for the first time
function _M.is_first(counter, what)
    return dict:add(what .. "|" .. counter.name, true, lifetime(counter)) == true
end

return _M
