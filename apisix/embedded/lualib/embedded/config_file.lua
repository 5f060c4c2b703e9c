--- Reads apisix.yaml and builds a whole, checked configuration, or lists everything that is wrong with the file.
-- Messages name items and fields, and never values, because values may be secrets.
local lyaml = require("lyaml")

local core = require("apisix.core")
local plugin = require("apisix.plugin")
local router = require("embedded.router")

local ipairs = ipairs
local pairs = pairs
local type = type

local _M = {}

local function set(text)
    local names = {}
    for name in text:gmatch("%S+") do
        names[name] = true
    end
    return names
end

local SECTIONS = set("routes plugin_metadata")
local ROUTE_FIELDS = set("id uri methods priority vars plugins")

local function read(path)
    local file, err = io.open(path, "r")
    if not file then
        return nil, "cannot be read: " .. err
    end
    local text = file:read("*a")
    file:close()
    if not text:find("#END%s*$") then
        return nil, "does not end with #END"
    elseif text:find("${{", 1, true) then
        return nil, "refers to environment variables with ${{…}}, which the embedded engine does not offer"
    end
    local ok, content = pcall(lyaml.load, text)
    if not ok then
        local line = tostring(content):match("(%d+):%d+")
        return nil, "is not valid YAML" .. (line and " (line " .. line .. ")" or "")
    elseif type(content) ~= "table" then
        return nil, "is not a mapping"
    end
    return content
end

local function unknown_fields(item, offered, what, problems)
    for field in pairs(item) do
        if not offered[field] then
            local problem = tostring(field) .. " is not offered by the embedded engine"
            table.insert(problems, what .. ": " .. problem)
        end
    end
end

local function check_plugins(item, what, problems)
    for name, conf in pairs(item.plugins or {}) do
        local problem = plugin.problem(name, conf)
        if problem then
            table.insert(problems, what .. ": " .. problem)
        end
    end
end

-- Calls `each(item, what)` for every item of a section; `what` names the item in messages.
local function walk(content, section, problems, each)
    for i, item in ipairs(content[section] or {}) do
        if type(item) ~= "table" then
            table.insert(problems, section .. " item " .. i .. " is not an object")
        else
            item.id = tostring(item.id or "arr_" .. i)
            each(item, section:gsub("s$", "") .. " " .. item.id)
        end
    end
end

local function routes_of(content, problems)
    local routes = {}
    walk(content, "routes", problems, function(item, what)
        unknown_fields(item, ROUTE_FIELDS, what, problems)
        check_plugins(item, what, problems)
        local problem = router.problem(item)
        if problem then
            table.insert(problems, what .. ": " .. problem)
        end
        table.insert(routes, { value = item })
    end)
    return routes
end

-- Metadata of a plugin that is not enabled has no effect, as in APISIX.
local function metadata_of(content, problems)
    local metadata = {}
    walk(content, "plugin_metadata", problems, function(item, what)
        if plugin.get(item.id) then
            local problem = plugin.problem(item.id, item, core.schema.TYPE_METADATA)
            if problem then
                table.insert(problems, what .. ": " .. problem)
            end
            metadata[item.id] = { value = item }
        end
    end)
    return metadata
end

--- Builds the configuration in the file at `path`.
-- @return table|nil a snapshot for the config store
-- @return table|nil a list of problems
function _M.load(path)
    local content, err = read(path)
    if not content then
        return nil, { "apisix.yaml " .. err }
    end
    local problems = {}
    for section, items in pairs(content) do
        if not SECTIONS[section] and not (type(items) == "table" and next(items) == nil) then
            table.insert(problems, tostring(section) .. " is not offered by the embedded engine")
        end
    end
    local routes = routes_of(content, problems)
    local metadata = metadata_of(content, problems)
    if #problems > 0 then
        table.sort(problems)
        return nil, problems
    end
    for _, route in ipairs(routes) do
        route.plugins = plugin.sorted(route.value.plugins)
    end
    return {
        router = router.new(routes),
        metadata = metadata,
    }
end

return _M
