--- The one structured record that each request leaves: in the access log, and in the collector's logs.
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local record_log = require("apisix.plugins.azure-openai.account.record_log")
local record_text = require("apisix.plugins.azure-openai.account.record_text")
local plain_text = require("apisix.plugins.azure-openai.base.plain_text")
local regions = require("apisix.plugins.azure-openai.routing.regions")

local ngx = ngx
local math_floor = math.floor
local ascii = plain_text.ascii

local _M = {}

local function milliseconds(seconds)
    return seconds and math_floor(seconds * 1000 + 0.5)
end

local written_second, written_time

-- "2026-11-29T17:27:18+00:00". nginx writes the same text for a whole second.
local function time()
    local second = ngx.time()
    if second ~= written_second then
        written_second, written_time = second, ngx.var.time_iso8601
    end
    return written_time
end

-- Whether a call begins whose sound does not pass the gateway, so that nobody can count its tokens here.
local function is_uncounted(request, status)
    return request ~= nil
        and request.operation == "realtime/calls"
        and request.method == "POST"
        and status < 300
end

local function describe(ctx, state, status)
    local request, winner = state.request, state.winner
    return {
        time = time(),
        request_id = state.request_id,
        backend_request_id = state.backend_request_id,
        client = state.client and state.client.name,
        client_address = ngx.var.remote_addr,
        lane = state.lane,
        route = ctx.route_id,
        method = request and request.method or ngx.req.get_method(),
        path = ascii(ngx.var.uri),
        status = status,
        deployment = request and request.deployment ~= "" and ascii(request.deployment) or nil,
        served_deployment = state.served_deployment,
        operation = request and ascii(request.operation),
        model = ascii(state.model),
        backend = winner and winner.name,
        region = winner and regions.of(winner),
        streamed = state.is_stream == true,
        tokens = state.usage,
        cost_usd = state.cost_usd,
        first_token_ms = state.first_output_at and milliseconds(state.first_output_at - state.started_at),
        total_ms = milliseconds(ngx.now() - (state.started_at or ngx.req.start_time())),
        bytes_in = ngx.var.request_length,
        bytes_out = ngx.var.bytes_sent,
        uncounted = is_uncounted(request, status) and "webrtc" or nil,
        outcome = metrics.outcome(state, status),
        error = state.error or state.failure,
    }
end

--- Writes the record of a request into the variable that the access log prints, and sends it to the collector when the
--- request has a trace. Log phase only, after tracing.
-- @param ctx table request context; without `azure_openai` the record says only what nginx knows
-- @return table the record, without its attempts
function _M.write(ctx)
    local state = ctx.azure_openai or { trail = {} }
    local record = describe(ctx, state, ngx.status)
    local trace = ctx.azure_openai_trace
    ngx.var.azure_openai_record = record_text.write(record, state.trail, trace and record_log.begin())
    if trace then
        record_log.queue(record, trace)
    end
    return record
end

return _M
