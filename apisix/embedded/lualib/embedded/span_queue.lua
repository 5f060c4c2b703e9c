--- Holds finished spans until a timer sends them to the collector. Requests never wait for it: the queue drops the
-- spans that do not fit, and the batches that the collector does not take.
local core = require("apisix.core")
local http = require("resty.http")
local otlp = require("embedded.otlp")

local ngx = ngx
local ipairs = ipairs
local min = math.min
local setmetatable = setmetatable

local PATH = "/v1/traces"
local SCOPE = "azure-openai-gateway"

local _M = {}
local mt = { __index = _M }

--- A queue in front of a collector.
-- @param collector table { address, request_timeout in seconds }
-- @param batch table { max_queue_size, max_export_batch_size, batch_timeout and inactive_timeout in seconds }
-- @param resource table attributes of the process that makes the spans
function _M.new(collector, batch, resource)
    local address = collector.address
    return setmetatable({
        url = (address:find("^https?://") and address or "http://" .. address) .. PATH,
        timeout_ms = collector.request_timeout * 1000,
        batch = batch,
        resource = resource,
        spans = {},
        dropped = 0,
    }, mt)
end

local function post(self, body)
    local client = http.new()
    client:set_timeouts(self.timeout_ms, self.timeout_ms, self.timeout_ms)
    local headers = { ["Content-Type"] = "application/x-protobuf" }
    local res, err = client:request_uri(self.url, { method = "POST", headers = headers, body = body })
    return res and res.status < 300, err or res and "status " .. res.status
end

-- Takes the oldest spans out of the queue.
local function take(self)
    local first, rest = {}, {}
    local count = min(#self.spans, self.batch.max_export_batch_size)
    for i, span in ipairs(self.spans) do
        if i <= count then
            first[i] = span
        else
            rest[i - count] = span
        end
    end
    self.spans = rest
    return first
end

local function send(self)
    local spans = take(self)
    local taken, err = post(self, otlp.encode(self.resource, SCOPE, spans))
    if not taken then
        core.log.error("spans that the collector did not take: ", #spans, " (", err, ")")
    end
    if self.dropped > 0 then
        core.log.warn("spans that did not fit into the queue: ", self.dropped)
        self.dropped = 0
    end
end

local function is_due(self)
    local oldest = self.spans[1]
    return oldest
        and (
            #self.spans >= self.batch.max_export_batch_size
            or ngx.now() - oldest.queued_at >= self.batch.batch_timeout
            or ngx.worker.exiting()
        )
end

local schedule

local function tick(_, self)
    while is_due(self) do
        send(self)
    end
    self.is_scheduled = false
    if #self.spans > 0 then
        schedule(self)
    end
end

-- An ending worker runs only timers without a delay.
function schedule(self)
    self.is_scheduled = true
    local ok, err = ngx.timer.at(ngx.worker.exiting() and 0 or self.batch.inactive_timeout, tick, self)
    if not ok then
        self.is_scheduled = false
        core.log.error("spans cannot be sent: ", err)
    end
end

--- Adds a finished span, or drops it when the queue is full.
function _M:add(span)
    if #self.spans >= self.batch.max_queue_size then
        self.dropped = self.dropped + 1
        return
    end
    span.queued_at = ngx.now()
    self.spans[#self.spans + 1] = span
    if not self.is_scheduled then
        schedule(self)
    end
end

return _M
