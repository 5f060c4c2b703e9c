--- The live page and its data: a page that shows what the gateway does now, and a stream of events with one message a
--- second for it.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local live_feed = require("apisix.plugins.azure-openai.account.live_feed")
local live_seats = require("apisix.plugins.azure-openai.account.live_seats")
local live_view = require("apisix.plugins.azure-openai.account.live_view")
local errors = require("apisix.plugins.azure-openai.base.errors")
local pages = require("apisix.plugins.azure-openai.base.pages")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")

local ngx = ngx
local ipairs = ipairs

local PLUGIN = "azure-openai-live"
local document = schemas.read(PLUGIN)

local LOOK_EVERY_SECONDS = 1
-- Then the watcher comes back, with a credential that is still valid.
local LONGEST_SECONDS = 600
local TAKEN_RETRY_SECONDS = 10
-- Without the port.
local LOCAL_HOSTS = { ["localhost"] = true, ["[::1]"] = true }

local _M = {
    version = 0.1,
    priority = 1020,
    name = PLUGIN,
    schema = document.schema,
    check_schema = schemas.checker(document),
}

local page = pages.read("live")

-- Whether an address is one of this machine: "127.0.0.1", "::1", "[::1]".
local function is_loopback(address)
    return address:find("^127%.%d+%.%d+%.%d+$") or address == "::1" or LOCAL_HOSTS[address:lower()]
end

-- Whether a request comes from this machine. A proxy in front of the gateway says that it forwards; and a name that is
-- not of this machine shows that a web site has given its own name this address.
local function is_local(ctx)
    local host = (core.request.header(ctx, "host") or ""):gsub(":%d+$", "")
    return is_loopback(ngx.var.realip_remote_addr)
        and is_loopback(host)
        and not core.request.header(ctx, "x-forwarded-for")
        and not core.request.header(ctx, "via")
end

-- A page of another site cannot read the events, and shall not take a seat either.
local function is_of_other_site(ctx)
    local site = core.request.header(ctx, "sec-fetch-site")
    return site == "cross-site" or site == "same-site"
end

local function refusal(conf, ctx)
    if conf.access == "local" and not is_local(ctx) then
        return "The live page is open to this machine only. Elsewhere set GATEWAY_LIVE_PAGE=keys."
    end
    if conf.part == "events" and is_of_other_site(ctx) then
        return "Another site may not read these events."
    end
    return nil
end

local function show_page()
    ngx.header["Content-Type"] = "text/html; charset=utf-8"
    ngx.header["Content-Security-Policy"] = page.policy
    ngx.header["X-Content-Type-Options"] = "nosniff"
    ngx.header["Referrer-Policy"] = "no-referrer"
    ngx.header["Cache-Control"] = "no-cache"
    return 200, page.html
end

-- The client whose requests alone a watcher sees; nil for one that sees everything.
local function limited_to(conf, ctx)
    local client = ctx.azure_openai.client
    if not client then
        return nil
    end
    for _, name in ipairs(conf.operators or {}) do
        if name == client.name then
            return nil
        end
    end
    return client
end

function _M.access(conf, ctx)
    local message = refusal(conf, ctx)
    if message then
        return errors.respond(ctx, 403, message)
    end
    if conf.part == "page" then
        return show_page()
    end
    local seat = live_seats.take(limited_to(conf, ctx))
    if not seat then
        core.response.set_header("Retry-After", TAKEN_RETRY_SECONDS)
        return errors.respond(ctx, 429, "Too many watch already.", "too_many_watchers")
    end
    ctx.azure_openai_seat = seat
    -- Nothing is left for nginx to proxy.
    ctx.bypass_nginx_upstream = true
    return nil
end

-- What has to stay the same while a watcher stays: keys and backends.
local function configuration()
    local clients = plugin.plugin_metadata("azure-openai-auth")
    return pool_module.current(), clients and clients.value
end

local function send_looks(ctx, seat, view)
    local pool, clients = configuration()
    local ends_at = ngx.now() + LONGEST_SECONDS
    repeat
        live_feed.watch()
        local text = "data: " .. view:next(pool) .. "\n\n"
        if not plugin.lua_response_filter(ctx, {}, text, nil, true) then
            return
        end
        ngx.sleep(LOOK_EVERY_SECONDS)
        local pool_now, clients_now = configuration()
    until pool_now ~= pool
        or clients_now ~= clients
        or ngx.worker.exiting()
        or ngx.now() > ends_at
        or not seat:keep()
end

function _M.before_proxy(conf, ctx)
    local seat = ctx.azure_openai_seat
    ngx.on_abort(function()
        seat:leave()
        ngx.exit(499)
    end)
    ngx.header["Content-Type"] = "text/event-stream"
    ngx.header["Cache-Control"] = "no-store"
    ngx.send_headers()
    send_looks(ctx, seat, live_view.new(limited_to(conf, ctx)))
    seat:leave()
end

return _M
