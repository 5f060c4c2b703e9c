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

-- The ngx.ctx of each request under way, by request id, because nginx forgets it before a page of its own.
local contexts = {}

--- Called in every worker before it serves.
function _M.http_init_worker()
    math.randomseed(ngx.now() * 1000 + ngx.worker.pid())
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

-- Replaces what the client says about its connection by what nginx knows.
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
    if ctx and ctx.plugins then
        plugin.run_plugin(phase, ctx.plugins, ctx)
    end
end

--- For nginx's own pages. `embedded.output` calls it for what Lua writes.
function _M.http_body_filter_phase()
    run_phase("body_filter")
end

local function new_context()
    local ctx = { _filter_body = _M.http_body_filter_phase }
    ngx.ctx.api_ctx = ctx
    contexts[ngx.var.request_id] = ngx.ctx
    core.ctx.set_vars_meta(ctx)
    -- Plugins see the normalised path.
    local var = ctx.var
    var.request_uri = var.uri .. var.is_args .. (var.args or "")
    replace_forwarded_headers(ctx)
    return ctx
end

local function match_route(ctx, config)
    local route = config.router:match(ctx.var.uri, ngx.req.get_method(), ctx.var)
    if not route then
        return false
    end
    ctx.curr_req_matched = { _path = route.value.uri }
    ctx.route_id = route.value.id
    ctx.plugins = route.plugins
    return true
end

--- Rewrite, access and before_proxy of the matched route.
function _M.http_access_phase()
    local ctx = new_context()
    local config = config_store.current()
    if not config then
        return core.response.exit(503, { error_msg = "no configuration has been loaded" })
    end
    if not match_route(ctx, config) then
        return core.response.exit(404, { error_msg = "404 Route Not Found" })
    end
    run_phase("rewrite")
    run_phase("access")

    -- Every plugin that the embedded engine offers talks to its backend itself.
    if not ctx.bypass_nginx_upstream then
        core.log.error("route ", ctx.route_id, " has no upstream and no plugin answered")
        return core.response.exit(503)
    end
    run_phase("before_proxy")
    if ngx.headers_sent then
        output.finish()
    end
end

--- Gives a request its context back and lets nginx answer with its own page for the status.
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
