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

-- The record that was written last. Nothing waits while it is in use, so all requests share it. Every field has a value
-- from the beginning: LuaJIT compiles no store of nil to a field that is not there.
local record = {
    time = false,
    request_id = false,
    backend_request_id = false,
    client = false,
    client_address = false,
    lane = false,
    route = false,
    method = false,
    path = false,
    status = false,
    deployment = false,
    served_deployment = false,
    operation = false,
    model = false,
    backend = false,
    region = false,
    streamed = false,
    tokens = false,
    cost_usd = false,
    first_token_ms = false,
    total_ms = false,
    bytes_in = false,
    bytes_out = false,
    uncounted = false,
    outcome = false,
    error = false,
}

local function describe(ctx, state, status)
    local request, winner = state.request, state.winner
    -- APISIX's own metrics read some of these, too: they are read once.
    local var, now = ctx.var, ngx.now()
    record.time = time()
    record.request_id = state.request_id
    record.backend_request_id = state.backend_request_id
    record.client = state.client and state.client.name
    record.client_address = var.remote_addr
    record.lane = state.lane
    record.route = ctx.route_id
    record.method = request and request.method or ngx.req.get_method()
    -- As the client sent it; a route's prefix is no longer in the request's own.
    record.path = ascii(ngx.var.uri)
    record.status = status
    record.deployment = request and request.deployment ~= "" and ascii(request.deployment) or nil
    record.served_deployment = state.served_deployment
    record.operation = request and ascii(request.operation)
    record.model = ascii(state.model)
    record.backend = winner and winner.name
    record.region = winner and regions.of(winner)
    record.streamed = state.is_stream == true
    record.tokens = state.usage
    record.cost_usd = state.cost_usd
    record.first_token_ms = state.first_output_at and milliseconds(state.first_output_at - state.started_at)
    record.total_ms = milliseconds(now - (state.started_at or ngx.req.start_time()))
    record.bytes_in = var.request_length
    record.bytes_out = var.bytes_sent
    record.uncounted = is_uncounted(request, status) and "webrtc" or nil
    record.outcome = metrics.outcome(state, status)
    record.error = state.error or state.failure
end

--- Writes the record of a request into the variable that the access log prints, and sends it to the collector when the
--- request has a trace. Log phase only, after tracing.
-- @param ctx table request context; without `azure_openai` the record says only what nginx knows
-- @return table the record, without its attempts; the next one takes its place
function _M.write(ctx)
    local state = ctx.azure_openai or { trail = {} }
    describe(ctx, state, ngx.status)
    local trace = ctx.azure_openai_trace
    ngx.var.azure_openai_record = record_text.write(record, state.trail, trace and record_log.begin())
    if trace then
        record_log.queue(record, trace)
    end
    return record
end

return _M
