--- The one structured record that each request leaves: in the access log, and in the collector's logs.
local core = require("apisix.core")
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local record_log = require("apisix.plugins.azure-openai.account.record_log")
local plain_text = require("apisix.plugins.azure-openai.base.plain_text")
local regions = require("apisix.plugins.azure-openai.routing.regions")

local ngx = ngx
local ipairs = ipairs
local math_floor = math.floor
local ascii = plain_text.ascii

local _M = {}

local function milliseconds(seconds)
    return seconds and math_floor(seconds * 1000 + 0.5)
end

local function attempts(trail)
    local list = {}
    for index, attempt in ipairs(trail) do
        list[index] = {
            backend = attempt.backend,
            status = attempt.status,
            reason = attempt.reason,
            ms = milliseconds(attempt.seconds),
        }
    end
    setmetatable(list, core.json.array_mt)
    return list
end

local function tokens(usage)
    return usage
        and {
            prompt = usage.prompt,
            completion = usage.completion,
            cached = usage.cached,
            reasoning = usage.reasoning,
            audio_prompt = usage.audio_prompt,
            audio_completion = usage.audio_completion,
            audio_cached = usage.audio_cached,
            image_prompt = usage.image_prompt,
            image_completion = usage.image_completion,
            seconds = usage.seconds,
            characters = usage.characters,
            images = usage.images,
            total = usage.total,
            estimated = usage.estimated,
        }
end

local function describe(ctx, state)
    local request = state.request
    return {
        time = ngx.var.time_iso8601,
        request_id = state.request_id,
        backend_request_id = state.backend_request_id,
        client = state.client and state.client.name,
        client_address = ngx.var.remote_addr,
        lane = state.lane,
        route = ctx.route_id,
        method = ngx.req.get_method(),
        path = ascii(ngx.var.uri),
        status = ngx.status,
        deployment = request and request.deployment ~= "" and ascii(request.deployment) or nil,
        operation = request and ascii(request.operation),
        model = ascii(state.model),
        backend = state.winner and state.winner.name,
        region = state.winner and regions.of(state.winner),
        attempts = attempts(state.trail),
        streamed = state.is_stream == true,
        tokens = tokens(state.usage),
        cost_usd = state.cost_usd,
        first_token_ms = state.first_output_at and milliseconds(state.first_output_at - state.started_at),
        total_ms = milliseconds(ngx.now() - ngx.req.start_time()),
        bytes_in = tonumber(ngx.var.request_length),
        bytes_out = tonumber(ngx.var.bytes_sent),
        outcome = metrics.outcome(state, ngx.status),
        error = state.error or state.failure,
    }
end

--- Writes the record of a request into the variable that the access log prints, and sends it to the collector when the
--- request has a trace. Log phase only, after tracing.
-- @param ctx table request context; without `azure_openai` the record says only what nginx knows
-- @return table the record
function _M.write(ctx)
    local record = describe(ctx, ctx.azure_openai or { trail = {} })
    ngx.var.azure_openai_record = core.json.encode(record)
    if ctx.azure_openai_trace then
        record_log.add(record, ctx.azure_openai_trace)
    end
    return record
end

return _M
