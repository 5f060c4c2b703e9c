--- Finds the client of a request: by the Entra ID token that openid-connect has verified, else by key. The
--- configuration holds only digests of keys, and a key is looked up by its digest.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local resty_sha256 = require("resty.sha256")
local errors = require("apisix.plugins.azure-openai.base.errors")
local credentials = require("apisix.plugins.azure-openai.request.credentials")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local client_keys = require("apisix.plugins.azure-openai.request.client_keys")
local ephemeral_keys = require("apisix.plugins.azure-openai.routing.ephemeral_keys")

local ngx = ngx
local ipairs = ipairs
local tonumber = tonumber
local math_huge = math.huge
local string_char = string.char

local PLUGIN = "azure-openai-auth"
-- The clocks of the tenant and of this gateway may differ by this much. openid-connect allows the same.
local LEEWAY_SECONDS = 120
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 2598, -- right after openid-connect
    type = "auth",
    name = PLUGIN,
    schema = document.schema,
    metadata_schema = document.metadata_schema,
    check_schema = schemas.checker(document),
}

local NOBODY = { by_digest = {}, by_app_id = {}, by_name = {} }
local clients, indexed_from = NOBODY, nil

local function from_hex(text)
    return (text:gsub("%x%x", function(byte)
        return string_char(tonumber(byte, 16))
    end))
end

local function index_of(list)
    local index = { by_digest = {}, by_app_id = {}, by_name = {} }
    for _, client in ipairs(list) do
        index.by_name[client.name] = client
        for _, digest in ipairs(client.key_sha256 or {}) do
            index.by_digest[from_hex(digest)] = client
        end
        if client.app_id then
            index.by_app_id[client.app_id] = client
        end
    end
    return index
end

local function known_clients()
    local metadata = plugin.plugin_metadata(PLUGIN)
    local conf = metadata and metadata.value
    -- APISIX skips an invalid item; the last valid one stays in force.
    if conf and conf ~= indexed_from then
        clients, indexed_from = index_of(conf.clients), conf
    end
    return clients
end

local function digest_of(key)
    local sha256 = resty_sha256:new()
    sha256:update(key)
    return sha256:final()
end

-- The client that one of some keys belongs to.
local function owner_of(keys, known)
    for _, key in ipairs(keys) do
        local client = known.by_digest[digest_of(key)]
        if client then
            return client
        end
    end
    return nil
end

-- The client to whom a backend has handed out one of these keys. Its call goes to that backend, with that key.
local function holder_of(ctx, keys, known)
    local key = ephemeral_keys.among(keys, ngx.req.get_method(), ctx.var.uri)
    local client = key and known.by_name[key.client]
    if client then
        ctx.azure_openai.ephemeral_key = key
    end
    return client
end

local function client_of_key(ctx, known)
    local keys = client_keys.of(ctx, ctx.azure_openai.surface)
    return owner_of(keys, known) or holder_of(ctx, keys, known)
end

-- The claims of a verified token. The gateway plugin has removed what a client itself put into this header.
local function verified_claims(ctx)
    local encoded = core.request.header(ctx, credentials.VERIFIED_CLAIMS)
    if not encoded then
        return nil
    end
    core.request.set_header(ctx, credentials.VERIFIED_CLAIMS, nil)
    return core.json.decode(ngx.decode_base64(encoded))
end

-- Whether a token is not valid yet. With a list of issuers openid-connect does not check nbf.
local function is_early(not_before)
    return not_before ~= nil and (tonumber(not_before) or math_huge) > ngx.time() + LEEWAY_SECONDS
end

-- An application that may call but is not configured as a client is named by its own id.
local function client_of_token(claims, known)
    if is_early(claims.nbf) then
        return nil
    end
    local app_id = claims.azp or claims.appid
    return known.by_app_id[app_id] or { name = app_id }
end

local function find_client(ctx)
    local claims = verified_claims(ctx)
    if claims then
        return client_of_token(claims, known_clients()), "the token is not valid yet."
    end
    return client_of_key(ctx, known_clients()),
        "the key is missing or not valid for this gateway. Send it as 'Authorization: Bearer', 'api-key' or "
            .. "'Ocp-Apim-Subscription-Key', and on the Anthropic surface also as 'x-api-key'."
end

function _M.rewrite(conf, ctx)
    local client, fault = find_client(ctx)
    if not client then
        core.response.set_header("WWW-Authenticate", 'Bearer realm="' .. conf.realm .. '"')
        -- Claude Code would repeat a 401 ten times, for minutes, before it says what is wrong.
        core.response.set_header("x-should-retry", "false")
        return errors.respond(ctx, 401, "Access denied: " .. fault)
    end

    -- Read by Prometheus, loggers and limits.
    ctx.consumer_name = client.name
    ctx.azure_openai.client = client
end

return _M
