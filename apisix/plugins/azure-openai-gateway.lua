--- Frames every request below /openai/: creates its state, reads it, checks its limits and settles it at the end. Gives
-- errors of other plugins the shape that clients understand.
local core = require("apisix.core")
local accounting = require("apisix.plugins.azure-openai.account.accounting")
local budgets = require("apisix.plugins.azure-openai.account.budgets")
local first_values = require("apisix.plugins.azure-openai.account.first_values")
local gauges = require("apisix.plugins.azure-openai.account.gauges")
local limits = require("apisix.plugins.azure-openai.account.limits")
local live_feed = require("apisix.plugins.azure-openai.account.live_feed")
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local record = require("apisix.plugins.azure-openai.account.record")
local registry = require("apisix.plugins.azure-openai.account.registry")
local sums = require("apisix.plugins.azure-openai.account.sums")
local tracing = require("apisix.plugins.azure-openai.account.tracing")
local client_keys = require("apisix.plugins.azure-openai.request.client_keys")
local credentials = require("apisix.plugins.azure-openai.request.credentials")
local errors = require("apisix.plugins.azure-openai.base.errors")
local garbage = require("apisix.plugins.azure-openai.base.garbage")
local request_ids = require("apisix.plugins.azure-openai.base.request_ids")
local surfaces = require("apisix.plugins.azure-openai.base.surfaces")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local reading = require("apisix.plugins.azure-openai.request.reading")
local stock_body = require("apisix.plugins.azure-openai.request.stock_body")
local ephemeral_keys = require("apisix.plugins.azure-openai.routing.ephemeral_keys")
local rests = require("apisix.plugins.azure-openai.routing.rests")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local shared_cooldowns = require("apisix.plugins.azure-openai.routing.shared_cooldowns")
local state_module = require("apisix.plugins.azure-openai.state")

local ngx = ngx
local ipairs = ipairs
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

-- Reasons of refusals that concern what a request names, not how much a client uses.
local NO_LIMIT =
    { model_not_allowed = true, ambiguous_request = true, not_countable = true, cost_unknown = true }

-- The client's own id, unless it could break a log line.
local function request_id(ctx)
    local given = core.request.header(ctx, "x-request-id")
    return request_ids.is_plain(given) and given or ctx.var.request_id
end

local function refresh_metrics(premature)
    local pool = not premature and pool_module.current()
    if pool then
        first_values.refresh(pool)
        gauges.refresh(pool)
    end
end

--- Called by APISIX in every worker.
function _M.init()
    rests.watch(metrics.unavailable)
    shared_cooldowns.watch()
    sums.watch()
    garbage.watch()
    if ngx.worker.id() == 0 then
        ngx.timer.every(registry.hand_over_seconds(), refresh_metrics)
        budgets.watch()
    end
end

-- A client could claim any identity with these headers, so they go before anything reads them. They are removed without
-- a look, because Lua does not see all lines of a header that is too large.
local function remove_claimed_identity(ctx)
    for _, name in ipairs(credentials.IDENTITY_HEADERS) do
        core.request.set_header(ctx, name, nil)
    end
end

function _M.rewrite(conf, ctx)
    garbage.request_begins()
    remove_claimed_identity(ctx)
    local state = state_module.create(ctx, request_id(ctx))
    state.target = reading.target(ctx, conf.path_prefix)
    state.surface = surfaces.of_path(state.target)
    tracing.begin(ctx)
end

local function refuse(ctx, refused)
    ctx.azure_openai.error = refused.reason
    core.response.set_header("x-gw-ratelimit-reason", not NO_LIMIT[refused.reason] and refused.reason or nil)
    core.response.set_header("Retry-After", refused.retry_after_seconds)
    core.response.set_header("x-should-retry", refused.is_final and "false" or nil)
    return errors.respond(ctx, refused.status, refused.message, refused.code)
end

-- Runs after authentication, which is in the phase before.
function _M.access(conf, ctx)
    if conf.kind == "helper" then
        return nil
    end
    local state = ctx.azure_openai
    local pool, pool_err = pool_module.current(conf.pool)
    if not pool then
        return errors.respond(ctx, 503, pool_err)
    end

    local request, fault = reading.read(ctx, state.target, conf.max_req_body_size)
    if not request then
        return errors.respond(ctx, fault.status, fault.message, fault.code)
    end
    if conf.kind == "inference" then
        local message = reading.inference_fault(request)
        if message then
            return errors.respond(ctx, 400, message)
        end
        stock_body.offer(ctx, request.facts)
    end
    tracing.pass_on(ctx, request.headers)
    state.pool, state.request = pool, request
    if not state.client then
        state.ephemeral_key =
            ephemeral_keys.among(client_keys.of(ctx, state.surface), request.method, ctx.var.uri)
    end
    request.ephemeral_key = state.ephemeral_key

    state.lane = limits.lane(ctx, state.client)
    local refused, buckets, notice = limits.check(state.client, pool, request, state.lane)
    state.budget_notice = notice
    if refused then
        return refuse(ctx, refused)
    end
    state.buckets = buckets
    return nil
end

function _M.header_filter(_, ctx)
    if ctx.azure_openai_reads_body and ngx.status == 500 then
        ngx.status = 507
    end
    local state = ctx.azure_openai
    if state and state.request then
        metrics.learn_names(state, ngx.status)
    end
    if state and state.budget_notice then
        ngx.header["x-gateway-budget-remaining"] = state.budget_notice
    end
    if not ngx.header["X-Request-ID"] then
        ngx.header["X-Request-ID"] = state and state.request_id
    end

    -- APISIX adds it to its own 5xx answers; the client has the attempts header.
    ngx.header["X-APISIX-Upstream-Status"] = nil

    if ngx.status >= 400 and not ctx.azure_openai_shaped then
        ctx.azure_openai_reshape = true
        core.response.clear_header_as_body_modified()
        ngx.header["Content-Type"] = "application/json"
    end
end

-- The message of a stock plugin's error body, in any of its forms.
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

    ngx.arg[1] = errors.text(
        ngx.status,
        { message = message_of(body) or "The gateway refused the request." },
        ctx.azure_openai and ctx.azure_openai.surface
    )
end

function _M.log(conf, ctx)
    local state = ctx.azure_openai
    if state then
        accounting.finish(state)
    end
    tracing.finish(ctx)
    local written = record.write(ctx)
    if state and conf.kind ~= "helper" then
        live_feed.note(written, state)
    end
    garbage.request_ends()
end

return _M
