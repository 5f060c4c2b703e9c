--- Sends each record to the collector as a log record, beside the console.
--
-- Its attributes have the names of the record's fields. It names the trace and the span of its request, which may not
-- have been kept: records are never sampled.
local otlp = require("apisix.plugins.azure-openai.account.otlp")
local otlp_queue = require("apisix.plugins.azure-openai.account.otlp_queue")
local protobuf = require("apisix.plugins.azure-openai.base.protobuf")

local ngx_now = ngx.now
local field = protobuf.field

-- opentelemetry-proto, logs/v1: the tags of a log record's fields.
local TIME, SEVERITY_NUMBER, SEVERITY_TEXT, BODY = "\9", "\16", "\26", "\42"
local FLAGS, TRACE_ID, SPAN_ID = "\69", "\74", "\82"
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

--- Queues the record of a request.
-- @param record table as account/record.lua makes it
-- @param attributes string of the record, in the place IN_LOG (account/record_text.lua)
-- @param trace Trace of the request (account/trace_context.lua)
function _M.add(record, attributes, trace)
    local message = record.method .. " " .. record.path .. " " .. record.status .. " " .. record.outcome
    logs:add(
        otlp.item(
            TIME
                .. otlp.time(ngx_now())
                .. (SEVERITIES[record.outcome] or WARN)
                .. field(BODY, field(STRING_VALUE, message))
                .. attributes
                .. (trace.is_kept and SAMPLED or NOT_SAMPLED)
                .. field(TRACE_ID, otlp.trace_id(trace.trace_id))
                .. field(SPAN_ID, otlp.span_id(trace.span_id))
        )
    )
end

return _M
