--- Modules without a file of their own: libraries that the distribution ships under another name, and plain tables.
local package = package
local pairs = pairs
local require = require

local SHIPPED_AS = {
    ["resty.sha256"] = "nginx.sha256",
}

local TABLES = {
    -- The drivers that ai-proxy-multi may load; the gateway's module hook adds its own.
    ["apisix.plugins.ai-providers.schema"] = { providers = {} },
}

for name, shipped in pairs(SHIPPED_AS) do
    package.preload[name] = function()
        return require(shipped)
    end
end

for name, content in pairs(TABLES) do
    package.preload[name] = function()
        return content
    end
end
