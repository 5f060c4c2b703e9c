--- The headers that carry a trace from one process to the next (W3C Trace Context).
local pairs = pairs
local tonumber = tonumber
local type = type

local SAMPLED = 1
-- opentelemetry-lua ignores a parent with any higher flag, and begins a trace of its own.
local KNOWN_FLAGS = 2
local MOST_MEMBERS = 32

local _M = {}

local function is_id(text, length)
    return #text == length and text:find("^[0-9a-f]+$") and text:find("[^0]") ~= nil
end

local function is_version(version, rest)
    version = tonumber(version, 16)
    return version < 255 and (rest == "" or version > 0 and rest:sub(1, 1) == "-")
end

--- The caller's span, for example 00-<32 hex digits>-<16 hex digits>-01.
-- @param text string|table|nil value of the header `traceparent`
-- @return table|nil { trace_id, span_id, is_sampled }; nil when there is none that can be understood
function _M.parse(text)
    if type(text) ~= "string" then
        return nil
    end
    local version, trace_id, span_id, flags, rest = text:match("^%s*(%x%x)%-(%x+)%-(%x+)%-(%x%x)(.-)%s*$")
    local usable = version
        and is_version(version, rest)
        and is_id(trace_id, 32)
        and is_id(span_id, 16)
        and tonumber(flags, 16) <= KNOWN_FLAGS
    if not usable then
        return nil
    end
    return { trace_id = trace_id, span_id = span_id, is_sampled = tonumber(flags, 16) % 2 == SAMPLED }
end

--- The header that names a span as the caller.
function _M.format(span)
    return "00-" .. span.trace_id .. "-" .. span.span_id .. (span.is_sampled and "-01" or "-00")
end

local function is_member(text)
    local key, value = text:match("^%s*([a-z0-9][a-z0-9_%-*/@]*)=([\32-\126]*)$")
    return key and #key <= 256 and #value <= 256 and not value:find("=", 1, true)
end

--- The entries that vendors add to a trace, when all of them can be understood.
-- @param values string|table|nil value of the header `tracestate`
-- @return string|nil
function _M.state(values)
    local text = type(values) == "table" and table.concat(values, ",") or values
    local members = {}
    for member in (text or ""):gmatch("[^,]+") do
        members[#members + 1] = member:match("^%s*(.-)%s*$")
    end
    for _, member in pairs(members) do
        if #members > MOST_MEMBERS or not is_member(member) then
            return nil
        end
    end
    return #members > 0 and table.concat(members, ",") or nil
end

return _M
