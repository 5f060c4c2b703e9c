--- Plugins: loading, checking, ordering and running them.
local core = require("apisix.core")
local config_store = require("embedded.config_store")
local expr = require("resty.expr.v1")
local output = require("embedded.output")

local ipairs = ipairs
local ngx = ngx
local pairs = pairs
local sort = table.sort
local type = type

local _M = {}

local OFFERED_META = { disable = true, priority = true, error_response = true, filter = true }

local loaded = {}

-- The compiled `_meta.filter` of a plugin block, for as long as the block is in use.
local filters = setmetatable({}, { __mode = "k" })

--- The `plugin_attr.<name>` block of config.yaml.
function _M.plugin_attr(name)
    return core.table.try_read_attr(core.config.local_conf(), "plugin_attr", name)
end

local function load_one(name)
    local ok, plugin = pcall(require, "apisix.plugins." .. name)
    if not ok then
        return "plugin " .. name .. " cannot be loaded: " .. plugin
    elseif not plugin.priority or not plugin.version or type(plugin.schema) ~= "table" then
        return "plugin " .. name .. " needs a priority, a version and a schema"
    end
    plugin.schema.properties = plugin.schema.properties or {}
    plugin.schema.properties._meta = plugin.schema.properties._meta or { type = "object" }
    plugin.name = name
    plugin.attr = _M.plugin_attr(name)
    loaded[name] = plugin
    if plugin.init then
        plugin.init()
    end
    return nil
end

--- Loads plugins by name; returns a list of what went wrong.
function _M.load(names)
    local problems = {}
    for _, name in ipairs(names) do
        if not loaded[name] then
            problems[#problems + 1] = load_one(name)
        end
    end
    return problems
end

--- The module of a loaded plugin.
function _M.get(name)
    return loaded[name]
end

--- The current metadata of a plugin: {value = …, modifiedIndex = …}, or nil.
function _M.plugin_metadata(name)
    local current = config_store.current()
    return current and current.metadata[name]
end

--- A version that depends on nothing but the content of a plugin block.
function _M.conf_version(conf)
    if not conf._version then
        conf._version = tostring(ngx.crc32_short(core.json.stably_encode(conf)))
    end
    return conf._version
end

local function meta_problem(name, conf)
    local meta = conf._meta or {}
    for key in pairs(meta) do
        if not OFFERED_META[key] then
            return "plugin " .. name .. ": _meta." .. key .. " is not offered"
        end
    end
    local err
    if meta.filter then
        filters[conf], err = expr.new(meta.filter)
    end
    return err and "plugin " .. name .. ": _meta.filter: " .. err or nil
end

--- Checks a plugin block and fills in its defaults.
-- @return nil, or what is wrong
function _M.problem(name, conf, schema_type)
    local plugin = loaded[name]
    if not plugin then
        return "unknown plugin [" .. name .. "]"
    elseif type(conf) ~= "table" then
        return "plugin " .. name .. ": its configuration is an object"
    end
    local problem = meta_problem(name, conf)
    if problem or not plugin.check_schema then
        return problem
    end
    local ok, err = plugin.check_schema(conf, schema_type)
    return not ok and "plugin " .. name .. ": " .. (err or "invalid") or nil
end

--- The enabled plugins of a `plugins` block as {plugin, conf, plugin, conf, …}, highest priority first.
function _M.filter(confs)
    local enabled = {}
    for name, conf in pairs(confs or {}) do
        local meta = conf._meta or {}
        if not meta.disable then
            table.insert(enabled, { loaded[name], conf, meta.priority or loaded[name].priority })
        end
    end
    sort(enabled, function(a, b)
        if a[3] ~= b[3] then
            return a[3] > b[3]
        end
        return a[1].name < b[1].name
    end)
    local plugins = {}
    for _, entry in ipairs(enabled) do
        core.table.insert_tail(plugins, entry[1], entry[2])
    end
    return plugins
end

local FILTER_PHASES = { header_filter = true, body_filter = true, delayed_body_filter = true, log = true }

local function finish(plugin, conf, code, body)
    if code and code >= 400 then
        core.log.warn(plugin.name, " exits with http status code ", code)
        body = conf._meta and conf._meta.error_response or body
    end
    core.response.exit(code, body)
end

-- Whether a plugin takes part in a request: decided when it would run first, and kept to.
local function takes_part(conf, ctx)
    local filter = filters[conf]
    if not filter then
        return true
    end
    local decided = ctx._meta_filters or {}
    ctx._meta_filters = decided
    if decided[conf] == nil then
        decided[conf] = filter:eval(ctx.var)
    end
    return decided[conf]
end

local function run_one(phase, plugin, conf, ctx)
    local run = plugin[phase]
    if not run or not takes_part(conf, ctx) then
        return
    end
    ctx._plugin_name = plugin.name
    local code, body = run(conf, ctx)
    ctx._plugin_name = nil
    if (code or body) and not FILTER_PHASES[phase] then
        finish(plugin, conf, code, body)
    end
end

--- Runs one phase of a list of plugins; before the response starts a plugin can end the request by
-- returning a status and a body.
function _M.run_plugin(phase, plugins, ctx)
    for i = 1, #plugins, 2 do
        run_one(phase, plugins[i], plugins[i + 1], ctx)
    end
end

--- Runs one phase of the global rules, except plugins that the route configures itself and prefers.
function _M.run_global_rules(phase, ctx)
    local of_route = core.table.try_read_attr(ctx.matched_route, "value", "plugins") or {}
    local rules = ctx.global_rules
    for i = 1, #rules, 2 do
        local plugin = rules[i]
        if not (plugin.run_policy == "prefer_route" and of_route[plugin.name]) then
            run_one(phase, plugin, rules[i + 1], ctx)
        end
    end
end

--- Sends a piece of an answer through the plugins' lua_body_filter and body_filter to the client.
-- @param no_flush leave the piece in nginx's buffer
-- @param wait wait until the piece has been handed to the client's connection
-- @return true, or false and an error (the client has gone)
function _M.lua_response_filter(ctx, headers, body, no_flush, wait)
    local plugins = ctx.plugins or {}
    for i = 1, #plugins, 2 do
        local filter = plugins[i].lua_body_filter
        if filter and takes_part(plugins[i + 1], ctx) then
            local code, new_body = filter(plugins[i + 1], ctx, headers, body)
            if code then
                if code ~= ngx.OK then
                    ngx.status = code
                end
                output.write(new_body)
                output.finish()
                ngx.exit(ngx.OK)
            end
            body = new_body or body
        end
    end
    local ok, err = output.write(body)
    if ok and not no_flush then
        ok, err = ngx.flush(wait == true)
    end
    if not ok then
        return false, err
    end
    return true
end

return _M
