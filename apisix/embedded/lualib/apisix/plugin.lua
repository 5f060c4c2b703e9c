--- Plugins: loading, checking, ordering and running them.
local core = require("apisix.core")
local conditions = require("embedded.conditions")
local config_store = require("embedded.config_store")
local output = require("embedded.output")

local ipairs = ipairs
local ngx = ngx
local pairs = pairs
local sort = table.sort
local type = type

local _M = {}

local loaded = {}

-- The compiled `_meta.filter` of each plugin block, for as long as the block is in use.
local filters = setmetatable({}, { __mode = "k" })

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

--- The metadata of a plugin in force: { value = … }, or nil.
function _M.plugin_metadata(name)
    local current = config_store.current()
    return current and current.metadata[name]
end

local function meta_problem(name, conf)
    local meta = conf._meta or {}
    for key in pairs(meta) do
        if key ~= "filter" then
            return "plugin " .. name .. ": _meta." .. key .. " is not offered"
        end
    end
    local err
    if meta.filter then
        filters[conf], err = conditions.compile(meta.filter)
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

--- The plugins of a `plugins` block as { plugin, conf, plugin, conf, … }, the highest priority first.
function _M.sorted(confs)
    local entries = {}
    for name, conf in pairs(confs or {}) do
        entries[#entries + 1] = { loaded[name], conf }
    end
    sort(entries, function(a, b)
        if a[1].priority ~= b[1].priority then
            return a[1].priority > b[1].priority
        end
        return a[1].name < b[1].name
    end)
    local plugins = {}
    for _, entry in ipairs(entries) do
        core.table.insert_tail(plugins, entry[1], entry[2])
    end
    return plugins
end

local FILTER_PHASES = { header_filter = true, body_filter = true, log = true }

local function finish(plugin, code, body)
    if code >= 400 then
        core.log.warn(plugin.name, " exits with http status code ", code)
    end
    core.response.exit(code, body)
end

-- Whether a plugin takes part in a request. This is decided once, when the plugin would run for the first time.
local function takes_part(conf, ctx)
    local holds = filters[conf]
    if not holds then
        return true
    end
    local decided = ctx._meta_filters or {}
    ctx._meta_filters = decided
    if decided[conf] == nil then
        decided[conf] = holds(ctx.var)
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
    if code and not FILTER_PHASES[phase] then
        finish(plugin, code, body)
    end
end

--- Runs one phase of a list of plugins. Until the answer begins, a plugin can end the request: it returns a status
-- and a body.
function _M.run_plugin(phase, plugins, ctx)
    for i = 1, #plugins, 2 do
        run_one(phase, plugins[i], plugins[i + 1], ctx)
    end
end

--- Sends a piece of an answer to the client.
-- @param no_flush boolean leave the piece in nginx's buffer
-- @param wait boolean wait until the client's connection has taken the piece
-- @return true, or false and an error (the client has gone)
function _M.lua_response_filter(_, _, body, no_flush, wait)
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
