--- Client authentication by key. The configuration holds only digests, and a key is found by its digest.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local resty_sha256 = require("resty.sha256")
local errors = require("apisix.plugins.azure-openai.errors")
local headers = require("apisix.plugins.azure-openai.headers")
local schemas = require("apisix.plugins.azure-openai.schemas")
local websocket = require("apisix.plugins.azure-openai.websocket")

local ipairs = ipairs
local tonumber = tonumber
local type = type
local string_char = string.char

local PLUGIN = "azure-openai-auth"
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 2600,
    type = "auth",
    name = PLUGIN,
    schema = document.schema,
    metadata_schema = document.metadata_schema,
    check_schema = schemas.checker(document),
}

local indexed_from, client_by_digest

local function from_hex(text)
    return (text:gsub("%x%x", function(byte)
        return string_char(tonumber(byte, 16))
    end))
end

local function clients()
    local metadata = plugin.plugin_metadata(PLUGIN)
    local conf = metadata and metadata.value
    -- APISIX skips an item that it finds invalid; the last good one stays in force.
    if conf and conf ~= indexed_from then
        local index = {}
        for _, client in ipairs(conf.clients) do
            for _, digest in ipairs(client.key_sha256) do
                index[from_hex(digest)] = client
            end
        end
        client_by_digest, indexed_from = index, conf
    end
    return client_by_digest
end

local function digest_of(key)
    local sha256 = resty_sha256:new()
    sha256:update(key)
    return sha256:final()
end

local function key_in(name, value)
    if name == "authorization" then
        return value:match("^%s*[Bb][Ee][Aa][Rr][Ee][Rr]%s+(.-)%s*$")
    end
    return value
end

local function owner_of(key, known)
    return key and known[digest_of(key)]
end

local function find_client(ctx)
    local known = clients() or {}
    local request_headers = core.request.headers(ctx)
    for _, name in ipairs(headers.CLIENT_CREDENTIALS) do
        local values = request_headers[name]
        for _, value in ipairs(type(values) == "table" and values or { values }) do
            local client = owner_of(key_in(name, value), known)
            if client then
                return client
            end
        end
    end
    for _, key in ipairs(websocket.client_keys(ctx)) do
        local client = owner_of(key, known)
        if client then
            return client
        end
    end
    return nil
end

function _M.rewrite(conf, ctx)
    local client = find_client(ctx)
    if not client then
        core.response.set_header("WWW-Authenticate", 'Bearer realm="' .. conf.realm .. '"')
        return errors.respond(
            ctx,
            401,
            "401",
            "Access denied: the key is missing or not valid for this gateway. Send it as 'Authorization: Bearer', "
                .. "'api-key' or 'Ocp-Apim-Subscription-Key'."
        )
    end

    -- Read by Prometheus, loggers and limits.
    ctx.consumer_name = client.name
    ctx.azure_openai.client = client
end

return _M
