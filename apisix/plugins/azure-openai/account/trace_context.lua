--- The trace that a request belongs to: the client's, by the headers of W3C Trace Context, else one of its own.
local core = require("apisix.core")

local math_floor = math.floor
local math_random = math.random
local setmetatable = setmetatable
local tonumber = tonumber
local type = type

local LARGEST_UINT32 = 0xffffffff
local TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
-- Version 00 has 55 bytes. Reading a longer header takes the square of its length.
local LONGEST_BYTES = 256

---@class Trace
---@field trace_id string 32 hexadecimal digits
---@field span_id string 16 hexadecimal digits, of the request's own span
---@field parent_id string|nil the client's span
---@field is_sampled boolean what backends are told, decided before anything is known of the request
---@field is_kept boolean|nil whether the collector gets the spans (account/tracing.lua)

local _M = {}

local function is_id(text, length)
    return #text == length and text:find("^[0-9a-f]+$") ~= nil and text:find("[^0]") ~= nil
end

-- Version 00 ends with the flags; what later ones add is ignored.
local function is_version(version, rest)
    local number = tonumber(version, 16)
    return number < 255 and (rest == "" or (number > 0 and rest:byte(1) == 45))
end

-- "00-<32 digits>-<16 digits>-01" -> trace id, span id, true. Nil when there is none that can be understood.
local function parse(text)
    if type(text) ~= "string" or #text > LONGEST_BYTES then
        return nil
    end
    local version, trace_id, span_id, flags, rest = text:match("^%s*(%x%x)%-(%x+)%-(%x+)%-(%x%x)(.-)%s*$")
    if not version or not is_version(version, rest) or not is_id(trace_id, 32) or not is_id(span_id, 16) then
        return nil
    end
    return trace_id, span_id, tonumber(flags, 16) % 2 == 1
end

-- The first id that is not chosen, by rate.
local ends_of_chosen = setmetatable({}, {
    __index = function(ends, rate)
        ends[rate] = ("%08x"):format(math_floor(rate * LARGEST_UINT32))
        return ends[rate]
    end,
})

-- By the trace's id, so every process with the same rate decides the same. Ids are compared as texts: LuaJIT does not
-- compile the reading of hexadecimal numbers.
local function is_chosen(rate, trace_id)
    return rate >= 1 or trace_id < ends_of_chosen[rate]
end

local function new_span_id()
    return ("%08x%08x"):format(math_random(1, LARGEST_UINT32), math_random(0, LARGEST_UINT32))
end
_M.new_span_id = new_span_id

--- Continues the client's trace, or begins one.
-- @param ctx table request context
-- @param rate number share of the traces begun here that are sampled, 0 to 1
-- @return Trace
function _M.begin(ctx, rate)
    local trace_id, parent_id, is_sampled = parse(core.request.header(ctx, TRACEPARENT))
    -- nginx's own id of the request is 16 random bytes, and no other request of the trace has it.
    local request_id = ctx.var.request_id
    if not trace_id then
        trace_id = request_id
        is_sampled = is_chosen(rate, trace_id)
    end
    return {
        trace_id = trace_id,
        span_id = request_id:sub(17),
        parent_id = parent_id,
        is_sampled = is_sampled,
    }
end

--- Names the request's span to backends.
-- @param trace Trace
-- @param headers table the client's, as they go on to backends
function _M.pass_on(trace, headers)
    headers[TRACEPARENT] = "00-"
        .. trace.trace_id
        .. "-"
        .. trace.span_id
        .. (trace.is_sampled and "-01" or "-00")
    if not trace.parent_id then
        headers[TRACESTATE] = nil
    end
end

return _M
