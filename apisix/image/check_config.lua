-- Run by the entrypoint: luajit check_config.lua APISIX_HOME CONFIG_DIR. It prints each fault of the rendered files on
-- a line of its own, never a value, and ends with status 1. The renderer has checked every block already, so this check
-- finds files that were cut short, mixed up or written by hand.
local home, config_dir = arg[1], arg[2]

package.path = home
    .. "/deps/share/lua/5.1/?.lua;"
    .. home
    .. "/deps/share/lua/5.1/?/init.lua;"
    .. package.path
package.cpath = home .. "/deps/lib/lua/5.1/?.so;" .. home .. "/deps/lib64/lua/5.1/?.so;" .. package.cpath

local lyaml = require("lyaml")

local problems = {}

local function complain(name, what)
    problems[#problems + 1] = config_dir .. "/" .. name .. " " .. what
end

local function read(name)
    local file, err = io.open(config_dir .. "/" .. name, "rb")
    if not file then
        complain(name, "cannot be read: " .. err)
        return nil
    end
    local text = file:read("*a")
    file:close()
    return text
end

local function parse(name)
    local text = read(name)
    if not text then
        return nil
    end
    local ok, document = pcall(lyaml.load, text)
    if not ok then
        -- The parser's message may quote the line, so only its position is passed on.
        local position = tostring(document):match("(%d+:%d+):") or "an unknown place"
        complain(name, "is not valid YAML at " .. position .. ": render it again")
        return nil
    end
    if type(document) ~= "table" then
        complain(name, "holds no settings: render it again")
        return nil
    end
    return document, text
end

local function section(document, ...)
    for _, name in ipairs({ ... }) do
        document = type(document) == "table" and document[name] or nil
    end
    return type(document) == "table" and document or {}
end

local function exists(path)
    local file = io.open(path, "rb")
    return file ~= nil and file:close()
end

-- extra_lua_path is "<bundle root>/?.lua".
local function check_bundle(config)
    local template = type(config.apisix) == "table" and config.apisix.extra_lua_path
    local module = "apisix/plugins/azure-openai-gateway"
    if type(template) ~= "string" or not exists((template:gsub("%?", module))) then
        complain(
            "config.yaml",
            "names no directory with the gateway's plugins in apisix.extra_lua_path: "
                .. "render it with the --bundle-root of this image"
        )
    end
end

local function check_plugins(config, document)
    local loaded = {}
    for _, name in ipairs(section(config, "plugins")) do
        loaded[name] = true
    end
    for _, route in ipairs(section(document, "routes")) do
        for name in pairs(section(route, "plugins")) do
            if not loaded[name] then
                complain(
                    "apisix.yaml",
                    "uses the plugin "
                        .. name
                        .. ", which config.yaml does not load: render both files together"
                )
            end
        end
    end
end

local function check_backends(document)
    for _, item in ipairs(section(document, "plugin_metadata")) do
        if item.id == "azure-openai-gateway" and #section(item, "backends") > 0 then
            return
        end
    end
    complain("apisix.yaml", "names no backend: set AZURE_OPENAI_ENDPOINT_0 and render it again")
end

local config = parse("config.yaml")
local document, text = parse("apisix.yaml")

if text and not text:find("\n#END%s*$") then
    complain("apisix.yaml", "does not end with #END: it was cut short, render it again")
end
if document and #section(document, "routes") == 0 then
    complain("apisix.yaml", "has no routes: render it again")
end
if document then
    check_backends(document)
end
if config then
    check_bundle(config)
end
if config and document then
    check_plugins(config, document)
end

if #problems > 0 then
    print(table.concat(problems, "\n"))
    os.exit(1)
end
