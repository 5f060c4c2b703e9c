--- Starts spans and decides which are recorded: a child like its parent, the first span of a trace by chance.
local context = require("opentelemetry.context")
local random = require("nginx.random")
local to_hex = require("nginx.string").to_hex

local ngx = ngx
local ipairs = ipairs
local setmetatable = setmetatable
local tonumber = tonumber

local NANOSECONDS = 1e9
local LARGEST_UINT32 = 0xffffffff

local Span = {}
local span_mt = { __index = Span }

local _M = {}
local mt = { __index = _M }

--- A tracer.
-- @param fraction number the share of the traces begun here that is recorded, 0 to 1
-- @param finished function(span) called with every recorded span when it ends
function _M.new(fraction, finished)
    return setmetatable({ fraction = fraction, finished = finished }, mt)
end

-- Decided by the trace's id, so that every process with the same fraction decides the same.
local function is_chosen(fraction, trace_id)
    return fraction >= 1 or tonumber(trace_id:sub(1, 8), 16) < fraction * LARGEST_UINT32
end

local function now()
    return ngx.now() * NANOSECONDS
end

--- Starts a span below the one of `parent`.
-- @param parent table opentelemetry.context
-- @param config table { kind, attributes }
-- @param start_time number|nil nanoseconds since the epoch; now, by default
-- @return table context around the span
-- @return table span { trace_id, span_id, parent_id, is_sampled, name, kind, attributes, start_time, end_time, status }
function _M:start(parent, name, config, start_time)
    local above = parent:span() or {}
    local span = setmetatable({
        tracer = self,
        trace_id = above.trace_id or to_hex(random.bytes(16)),
        span_id = to_hex(random.bytes(8)),
        parent_id = above.span_id,
        trace_state = above.trace_state,
        name = name,
        kind = config.kind,
        attributes = config.attributes or {},
        start_time = start_time or now(),
    }, span_mt)
    span.is_sampled = above.is_sampled
    if above.is_sampled == nil then
        span.is_sampled = is_chosen(self.fraction, span.trace_id)
    end
    return context.new(span), span
end

function Span:is_recording()
    return self.is_sampled and not self.end_time
end

function Span:set_attributes(...)
    for _, attribute in ipairs({ ... }) do
        self.attributes[#self.attributes + 1] = attribute
    end
end

function Span:set_status(code, message)
    self.status = { code = code, message = message }
end

--- Ends the span; a span ends once.
-- @param end_time number|nil nanoseconds since the epoch; now, by default
function Span:finish(end_time)
    if self:is_recording() then
        self.end_time = end_time or now()
        self.tracer.finished(self)
    end
end

return _M
