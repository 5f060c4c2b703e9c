--- The request phases: nginx.conf calls these, and they call the plugins.
local config_store = require("embedded.config_store")
local config_sync = require("embedded.config_sync")
local core = require("apisix.core")
local output = require("embedded.output")
local plugin = require("apisix.plugin")
local status = require("embedded.status")

local ngx = ngx

local _M = { status = status.live, status_ready = status.ready }

local server_header

-- ngx.ctx of the requests under way, by request id: nginx forgets it on the way to a page of its own.
local contexts = {}

--- Called in every worker before it serves.
function _M.http_init_worker()
    math.randomseed(core.utils.get_seed_from_urandom() or ngx.now() * 1000 + ngx.worker.pid())
    local conf = core.config.local_conf()
    local tokens = core.table.try_read_attr(conf, "apisix", "enable_server_tokens")
    server_header = tokens == false and "APISIX" or "APISIX/" .. core.version.VERSION

    local problems = plugin.load(conf.plugins or {})
    if #problems > 0 then
        config_sync.report(problems)
        return
    end
    config_sync.init_worker()
end

-- What a client says about the connection in front of it is replaced by what is known of it.
local function replace_forwarded_headers(ctx)
    local var = ctx.var
    local host = var.http_host or var.host
    core.request.set_header(ctx, "X-Forwarded-Proto", var.scheme)
    core.request.set_header(ctx, "X-Forwarded-Host", host)
    core.request.set_header(ctx, "X-Forwarded-Port", host:match(":(%d+)$") or var.server_port)
    core.request.set_header(ctx, "Forwarded", nil)
end

local function run_phase(phase)
    local ctx = ngx.ctx.api_ctx
    if ctx and ctx.global_rules then
        plugin.run_global_rules(phase, ctx)
        plugin.run_plugin(phase, ctx.plugins, ctx)
    end
end

--- For nginx's own pages; what Lua writes goes through it in embedded.output.
function _M.http_body_filter_phase()
    run_phase("body_filter")
    run_phase("delayed_body_filter")
end

local function new_context()
    local ctx = { ngx_ctx = ngx.ctx, _filter_body = _M.http_body_filter_phase }
    ngx.ctx.api_ctx = ctx
    contexts[ngx.var.request_id] = ngx.ctx
    core.ctx.set_vars_meta(ctx)
    -- Plugins see the normalised path; what the client wrote is real_request_uri.
    local var = ctx.var
    var.real_request_uri = var.request_uri
    var.request_uri = var.uri .. var.is_args .. (var.args or "")
    var.request_line = var.request
    replace_forwarded_headers(ctx)
    return ctx
end

local function match_route(ctx, config)
    local route, uri = config.router:match(ctx.var.uri, ngx.req.get_method(), ctx.var)
    if not route then
        return nil
    end
    ctx.matched_route = route
    ctx.curr_req_matched = { _path = uri }
    ctx.conf_type = "route"
    ctx.conf_version = route.modifiedIndex
    ctx.conf_id = route.value.id
    ctx.route_id = route.value.id
    ctx.route_name = route.value.name
    ctx.plugins = route.plugins
    return route
end

--- Rewrite, access and before_proxy of the global rules and of the matched route.
function _M.http_access_phase()
    local ctx = new_context()
    local config = config_store.current()
    if not config then
        return core.response.exit(503, { error_msg = "no configuration has been loaded" })
    end
    ctx.global_rules = config.global_rules
    ctx.plugins = {}

    local route = match_route(ctx, config)
    plugin.run_global_rules("rewrite", ctx)
    if not route then
        plugin.run_global_rules("access", ctx)
        return core.response.exit(404, { error_msg = "404 Route Not Found" })
    end
    plugin.run_plugin("rewrite", route.plugins, ctx)
    plugin.run_global_rules("access", ctx)
    plugin.run_plugin("access", route.plugins, ctx)

    -- Only plugins that talk to the upstream themselves are offered.
    if not ctx.bypass_nginx_upstream then
        core.log.error("route ", ctx.route_id, " has no upstream and no plugin answered")
        return core.response.exit(503)
    end
    plugin.run_global_rules("before_proxy", ctx)
    plugin.run_plugin("before_proxy", route.plugins, ctx)
    if ngx.headers_sent then
        output.finish()
    end
end

--- Lets nginx answer with its own page for the status of a request, whose context is found again.
function _M.http_page()
    ngx.ctx = contexts[ngx.var.request_id] or {}
    ngx.exit(ngx.status)
end

function _M.http_header_filter_phase()
    core.response.set_header("Server", server_header)
    run_phase("header_filter")
end

function _M.http_log_phase()
    contexts[ngx.var.request_id] = nil
    run_phase("log")
end

return _M
