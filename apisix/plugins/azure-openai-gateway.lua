--- Frames every request below /openai/: starts its record, holds the pool's configuration, and gives errors that
--- other plugins make the shape that clients understand.
local core = require("apisix.core")
local accounting = require("apisix.plugins.azure-openai.account.accounting")
local errors = require("apisix.plugins.azure-openai.base.errors")
local headers = require("apisix.plugins.azure-openai.attempt.headers")
local lessons = require("apisix.plugins.azure-openai.outcome.outcomes")
local limits = require("apisix.plugins.azure-openai.account.limits")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local request_module = require("apisix.plugins.azure-openai.request.reading")
local record = require("apisix.plugins.azure-openai.account.record")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local shared_cooldowns = require("apisix.plugins.azure-openai.routing.shared_cooldowns")
local stock_metrics = require("apisix.plugins.azure-openai.account.stock_metrics")
local tracing = require("apisix.plugins.azure-openai.account.tracing")

local ngx = ngx
local ipairs = ipairs
local tostring = tostring
local type = type

local PLUGIN = "azure-openai-gateway"
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 12000,
    name = PLUGIN,
    schema = document.schema,
    metadata_schema = document.metadata_schema,
    check_schema = schemas.checker(document),
}

local STATUS_CODES = {
    [400] = "invalid_request",
    [403] = "forbidden",
    [404] = "DeploymentNotFound",
    [413] = "request_too_large",
    [429] = "429",
    [503] = "service_unavailable",
}

-- A client may bring its own id; one that could break a log line is replaced.
local function request_id(ctx)
    local given = core.request.header(ctx, "x-request-id")
    if type(given) == "string" and #given <= 128 and given:find("^[%w._:-]+$") then
        return given
    end
    return ctx.var.request_id
end

--- Called by APISIX in every worker.
function _M.init()
    shared_cooldowns.watch()
end

-- Before anything reads them: a client could claim to be whoever it likes. Unseen, because Lua sees only the first
-- hundred headers of a request.
local function remove_claimed_identity(ctx)
    for _, name in ipairs(headers.IDENTITY) do
        core.request.set_header(ctx, name, nil)
    end
end

function _M.rewrite(_, ctx)
    remove_claimed_identity(ctx)
    ctx.azure_openai = {
        request_id = request_id(ctx),
        started_at = ngx.req.start_time(),
        trail = {},
        buckets = {},
    }
    tracing.watch(ctx)
end

local function refuse(ctx, refused)
    ctx.azure_openai.error = refused.reason
    core.response.set_header("x-gw-ratelimit-reason", refused.status ~= 403 and refused.reason or nil)
    core.response.set_header("Retry-After", refused.retry_after_seconds)
    return errors.respond(ctx, refused.status, refused.code, refused.message)
end

-- Runs after authentication, which is in the phase before.
function _M.access(conf, ctx)
    local state = ctx.azure_openai
    local pool, pool_err = pool_module.current()
    if not pool then
        return errors.respond(ctx, 503, "service_unavailable", pool_err)
    end

    local request, status, message = request_module.read(ctx, conf.max_req_body_size)
    if not request then
        return errors.respond(ctx, status, STATUS_CODES[status], message)
    end
    if conf.kind == "inference" then
        local fault = request_module.inference_fault(request)
        if fault then
            return errors.respond(ctx, 400, "invalid_request", fault)
        end
    end
    state.pool, state.request = pool, request
    state.deployment, state.operation = request.deployment, request.operation

    state.lane = limits.lane(ctx, state.client)
    local refused, buckets = limits.check(state.client, pool, request, state.lane)
    if refused then
        return refuse(ctx, refused)
    end
    state.buckets = buckets
    return nil
end

function _M.header_filter(_, ctx)
    if ctx.azure_openai then
        stock_metrics.label(ctx, ctx.azure_openai.winner ~= nil and ngx.status < 400)
    end
    if not ngx.header["X-Request-ID"] then
        ngx.header["X-Request-ID"] = ctx.azure_openai and ctx.azure_openai.request_id
    end

    -- APISIX adds it to its own 5xx answers; the client has the attempts header.
    ngx.header["X-APISIX-Upstream-Status"] = nil

    if ngx.status >= 400 and not ctx.azure_openai_shaped then
        ctx.azure_openai_reshape = true
        core.response.clear_header_as_body_modified()
        ngx.header["Content-Type"] = "application/json"
    end
end

-- The message of a stock plugin's error body, whatever its form.
local function message_of(body)
    local decoded = core.json.decode(body)
    if type(decoded) ~= "table" then
        return nil
    end
    local message = decoded.error_msg or decoded.message or decoded.error
    return type(message) == "string" and message or nil
end

function _M.body_filter(_, ctx)
    if not ctx.azure_openai_reshape then
        return
    end
    local body = core.response.hold_body_chunk(ctx)
    if not body then
        return
    end

    local status = ngx.status
    ngx.arg[1] = errors.body(
        status,
        STATUS_CODES[status] or tostring(status),
        message_of(body) or "The gateway refused the request."
    )
end

function _M.log(_, ctx)
    local state = ctx.azure_openai
    if state then
        if state.pending then
            lessons.forget(state.pending.backend, state.pending.deployment)
        end
        accounting.finish(state)
    end
    record.write(ctx)
end

return _M
