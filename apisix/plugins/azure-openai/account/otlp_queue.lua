--- Holds telemetry until a timer hands it to the collector: at once after a quiet time, and once a second at the most.
-- No request waits for it.
--
-- What the collector does not take stays in the queue, so a collector that restarts loses nothing that fits. A worker
-- that stops sends what it has.
local core = require("apisix.core")
local otlp = require("apisix.plugins.azure-openai.account.otlp")
local otlp_exchange = require("apisix.plugins.azure-openai.account.otlp_exchange")
local registry = require("apisix.plugins.azure-openai.account.registry")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local string_buffer = require("string.buffer")

local ngx = ngx
local os_getenv = os.getenv
local pcall = pcall
local math_floor = math.floor
local math_huge = math.huge
local math_max = math.max
local math_min = math.min
local setmetatable = setmetatable

-- In each worker. A record has half a kilobyte to one.
local MOST_BYTES = 8 * 1024 * 1024
local MOST_BYTES_IN_BATCH = 1024 * 1024
local PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1, 5
local DEADLINE_SECONDS = 5
-- A worker that stops waits no longer for a collector that may have stopped too.
local MOST_LAST_TRIES = 3

-- By these the collector says that it may take the same batch later (OTLP, "Failures").
local TRY_AGAIN = { [429] = true, [502] = true, [503] = true, [504] = true }
-- By these it says that something in the batch is wrong, or too much. Halves are sent until the wrong item is alone.
local HALVE = { [400] = true, [413] = true }
-- A collector that refuses so many items in one go refuses all: the rest is not halved.
local MOST_ALONE = 10

local INSTANCE = os_getenv("CONTAINER_APP_REPLICA_NAME") or os_getenv("HOSTNAME")

local _M = {}
local queue = {}
local queue_mt = { __index = queue }

--- A queue of this worker.
-- @param signal string "logs" or "traces"
function _M.new(signal)
    return setmetatable({
        signal = signal,
        items = string_buffer.new(),
        -- Of each item in bytes, from the first that is held to the last.
        lengths = {},
        first = 1,
        last = 0,
        most_items = math_huge,
        alone = 0,
        dropped = 0,
        -- Between two hand-overs, and when the next one may begin.
        pause_seconds = PAUSE_SECONDS,
        not_before = 0,
        is_scheduled = false,
    }, queue_mt)
end

local function settings()
    local pool = pool_module.current()
    return pool and pool.telemetry
end

local function drop(self, count)
    if self.dropped == 0 then
        core.log.error("azure-openai: the collector is not keeping up, so ", self.signal, " are dropped")
    end
    self.dropped = self.dropped + count
    local metrics = registry.metrics()
    if metrics then
        metrics.dropped:inc(count, { self.signal })
    end
end

local function tell_dropped(self)
    if self.dropped > 0 then
        core.log.error(
            "azure-openai: dropped before the collector took ",
            self.signal,
            " again: ",
            self.dropped
        )
        self.dropped = 0
    end
end

local function resource_of(telemetry)
    local message = string_buffer.new()
    local resource = otlp.attributes(otlp.IN_RESOURCE, message)
    resource:add("service.name", telemetry.service_name)
    resource:add("service.instance.id", INSTANCE)
    return message:get()
end

-- A request to the collector with so many bytes of the oldest items.
local function batch_of(self, telemetry, bytes)
    local batch = string_buffer.new()
    batch:put(otlp.head_of_export(resource_of(telemetry), bytes))
    return batch:putcdata(self.items:ref(), bytes):get()
end

-- The last item that still fits into a batch, and how long the batch is.
local function end_of_batch(self, newest)
    local last, bytes = self.first, self.lengths[self.first]
    newest = math_min(newest, self.first + self.most_items - 1)
    while last < newest and bytes + self.lengths[last + 1] <= MOST_BYTES_IN_BATCH do
        last = last + 1
        bytes = bytes + self.lengths[last]
    end
    return last, bytes
end

local function forget(self, last)
    for index = self.first, last do
        self.items:skip(self.lengths[index])
        self.lengths[index] = nil
    end
    self.first = last + 1
    -- A buffer never becomes smaller by itself.
    local _, room = self.items:reserve(0)
    if #self.items == 0 and room > MOST_BYTES_IN_BATCH then
        self.items:free()
    end
end

local function post(self, telemetry, body)
    return otlp_exchange.post(telemetry.collector_endpoint, "/v1/" .. self.signal, body, DEADLINE_SECONDS)
end

-- Drops what the collector refuses, or makes the next batch smaller.
local function refused(self, status, last)
    local count = last - self.first + 1
    if HALVE[status] and count > 1 and self.alone < MOST_ALONE then
        self.most_items = math_floor(count / 2)
        return
    end
    core.log.error("azure-openai: the collector refuses ", self.signal, ": status ", status)
    drop(self, count)
    forget(self, last)
    self.alone = self.alone + 1
    self.most_items = self.alone < MOST_ALONE and self.most_items or math_huge
end

-- Hands the oldest items over. Returns false when the collector may take them later.
local function send(self, telemetry, newest)
    local last, bytes = end_of_batch(self, newest)
    local status, err = post(self, telemetry, batch_of(self, telemetry, bytes))
    if not status or TRY_AGAIN[status] then
        core.log.warn("azure-openai: the collector takes no ", self.signal, " now: ", err or status)
        return false
    end
    if status >= 300 then
        refused(self, status, last)
        return true
    end
    tell_dropped(self)
    forget(self, last)
    self.most_items = self.most_items * 2
    return true
end

-- Sends what was there when it began: what comes meanwhile may gather.
local function send_all(self, telemetry)
    local newest, tries = self.last, 0
    self.alone = 0
    while self.first <= newest do
        if not send(self, telemetry, newest) then
            tries = tries + 1
            if not ngx.worker.exiting() or tries == MOST_LAST_TRIES then
                return false
            end
            ngx.sleep(PAUSE_SECONDS)
        end
    end
    return true
end

local function run(self)
    local telemetry = settings()
    if not telemetry then
        forget(self, self.last)
        return
    end
    local is_sent = send_all(self, telemetry)
    self.pause_seconds = is_sent and PAUSE_SECONDS or math_min(self.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
    if not is_sent and ngx.worker.exiting() then
        drop(self, self.last - self.first + 1)
        tell_dropped(self)
        forget(self, self.last)
    end
end

local schedule

-- Runs also when the worker stops before the pause is over.
local function tick(_, self)
    local ok, err = pcall(run, self)
    if not ok then
        core.log.error("azure-openai: cannot send ", self.signal, ": ", err)
    end
    self.is_scheduled = false
    self.not_before = ngx.now() + self.pause_seconds
    if self.first <= self.last then
        schedule(self)
    end
end

-- The first item after a quiet time goes at once, and what follows gathers. A worker that stops runs only timers
-- without a pause.
local function pause_of(self)
    if ngx.worker.exiting() then
        return 0
    end
    -- A clock that is set back makes nothing wait for longer than a pause.
    return math_max(0, math_min(self.not_before - ngx.now(), self.pause_seconds))
end

function schedule(self)
    local ok, err = ngx.timer.at(pause_of(self), tick, self)
    self.is_scheduled = ok and true or false
    if not ok then
        core.log.error("azure-openai: no timer sends ", self.signal, ": ", err)
    end
end

--- Adds one item, or drops it when the queue is full.
-- @param item string.buffer one or more items of a request to the collector (account/otlp.lua); may be used again
function queue:add(item)
    if #self.items + #item > MOST_BYTES then
        drop(self, 1)
    else
        self.last = self.last + 1
        self.items:put(item)
        self.lengths[self.last] = #item
    end
    if not self.is_scheduled then
        schedule(self)
    end
end

return _M
