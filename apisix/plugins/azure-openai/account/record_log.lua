--- Sends each record to the collector as a log record, beside the console.
--
-- Its attributes have the names of the record's fields. It names the trace and the span of its request, which may not
-- have been kept: records are never sampled.
local otlp = require("apisix.plugins.azure-openai.account.otlp")
local otlp_queue = require("apisix.plugins.azure-openai.account.otlp_queue")
local protobuf = require("apisix.plugins.azure-openai.base.protobuf")
local string_buffer = require("string.buffer")

local ngx_now = ngx.now
local field = protobuf.field
local varint = protobuf.varint

-- opentelemetry-proto, logs/v1: the tags of a log record's fields.
local TIME, SEVERITY_NUMBER, SEVERITY_TEXT, BODY = "\9", "\16", "\26", "\42"
-- The ids with their lengths.
local FLAGS, TRACE_ID, SPAN_ID = "\69", "\74\16", "\82\8"
-- Of AnyValue.
local STRING_VALUE = "\10"
local SAMPLED, NOT_SAMPLED = FLAGS .. "\1\0\0\0", FLAGS .. "\0\0\0\0"

local function severity(number, text)
    return SEVERITY_NUMBER .. protobuf.varint(number) .. field(SEVERITY_TEXT, text)
end

local INFO, WARN, ERROR = severity(9, "INFO"), severity(13, "WARN"), severity(17, "ERROR")
-- Of outcomes; of all others WARN.
local SEVERITIES = { success = INFO, server_error = ERROR, interrupted = ERROR }

local _M = {}

local logs = otlp_queue.new("logs")
-- Nothing waits while they are in use, so all requests share them.
local message, item, body = string_buffer.new(), string_buffer.new(), string_buffer.new()

--- Begins a log record. It has to be queued before the next one begins.
-- @return string.buffer for its attributes, in the place IN_LOG (account/record_text.lua)
function _M.begin()
    message:reset()
    return message
end

--- Completes the log record that was begun, and queues it.
-- @param record table as account/record.lua makes it
-- @param trace Trace of the request (account/trace_context.lua)
function _M.queue(record, trace)
    body:reset():put(record.method, " ", record.path, " ", record.status, " ", record.outcome)
    message:put(TIME, otlp.time(ngx_now()), SEVERITIES[record.outcome] or WARN)
    message:put(BODY, varint(#body + 1 + #varint(#body)), STRING_VALUE, varint(#body), body)
    message:put(trace.is_kept and SAMPLED or NOT_SAMPLED)
    otlp.put_id(message, TRACE_ID, trace.trace_id)
    otlp.put_id(message, SPAN_ID, trace.span_id)
    item:reset()
    otlp.put_item(item, message)
    logs:add(item)
end

return _M
