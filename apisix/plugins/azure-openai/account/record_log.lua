--- Sends each record to the collector as a log record, beside the console.
--
-- Its attributes have the names of the record's fields. It names the trace and the span of its request, which may not
-- have been kept: records are never sampled.
local otlp_json = require("apisix.plugins.azure-openai.account.otlp_json")
local otlp_queue = require("apisix.plugins.azure-openai.account.otlp_queue")

local ngx_now = ngx.now

-- opentelemetry-proto, logs/v1, SeverityNumber.
local INFO, WARN, ERROR = 9, 13, 17
local SEVERITY_TEXT = { [INFO] = "INFO", [WARN] = "WARN", [ERROR] = "ERROR" }
-- Of outcomes; of all others WARN.
local SEVERITIES = { success = INFO, server_error = ERROR, interrupted = ERROR }

local _M = {}

local logs = otlp_queue.new("logs")

--- Queues the record of a request.
-- @param record table as account/record.lua makes it
-- @param attributes string of the record (account/record_text.lua)
-- @param trace Trace of the request (account/trace_context.lua)
function _M.add(record, attributes, trace)
    local severity = SEVERITIES[record.outcome] or WARN
    local message = record.method .. " " .. record.path .. " " .. record.status .. " " .. record.outcome
    logs:add(
        '{"timeUnixNano":'
            .. otlp_json.time(ngx_now())
            .. ',"severityNumber":'
            .. severity
            .. ',"severityText":"'
            .. SEVERITY_TEXT[severity]
            .. '","body":{"stringValue":'
            .. otlp_json.quoted(message)
            .. '},"attributes":'
            .. attributes
            .. ',"flags":'
            .. (trace.is_kept and 1 or 0)
            .. ',"traceId":"'
            .. trace.trace_id
            .. '","spanId":"'
            .. trace.span_id
            .. '"}'
    )
end

return _M
