--- The public keys of a token issuer, found through its discovery document and kept in each worker.
local decode_base64url = require("ngx.base64").decode_base64url
local json = require("apisix.core.json")
local fetch_url = require("embedded.fetch").get
local rsa = require("embedded.rsa")

local ngx = ngx
local pairs = pairs
local type = type

-- lua-resty-openidc's defaults, as APISIX 3.18 sets them.
local TIMEOUT_MS = 3000
local KEPT_SECONDS = 24 * 60 * 60

local _M = {}

-- By discovery URL: { keys, expires_at }.
local issuers = {}

local function get_object(url)
    local status, body = fetch_url(url, TIMEOUT_MS)
    if not status then
        return nil, body
    elseif status ~= 200 then
        return nil, "status " .. status
    end
    local value = json.decode(body)
    if type(value) ~= "table" then
        return nil, "not a JSON object"
    end
    return value
end

local function bytes_of(number)
    return type(number) == "string" and decode_base64url(number) or nil
end

local function public_key(jwk)
    local modulus, exponent = bytes_of(jwk.n), bytes_of(jwk.e)
    return modulus and exponent and rsa.public_key(modulus, exponent)
end

-- Leaves out keys for another purpose than RSA signatures, and keys that are malformed.
local function signing_keys(document)
    local keys = {}
    for _, jwk in pairs(type(document.keys) == "table" and document.keys or {}) do
        local signs = type(jwk) == "table" and jwk.kty == "RSA" and (jwk.use or "sig") == "sig"
        local key = signs and type(jwk.kid) == "string" and public_key(jwk)
        if key then
            keys[jwk.kid] = key
        end
    end
    return keys
end

local function fetch(discovery)
    local document, err = get_object(discovery)
    if not document then
        return nil, "the discovery document cannot be read: " .. err
    elseif type(document.jwks_uri) ~= "string" then
        return nil, "the discovery document has no jwks_uri"
    end
    document, err = get_object(document.jwks_uri)
    if not document then
        return nil, "the keys cannot be read: " .. err
    end
    local issuer = { keys = signing_keys(document), expires_at = ngx.now() + KEPT_SECONDS }
    issuers[discovery] = issuer
    return issuer
end

--- The key with which an issuer signs; an unknown key is asked for once per call.
-- @param discovery string URL of the issuer's discovery document
-- @param kid string id of the key
-- @return cdata|nil key, for `embedded.rsa`
-- @return string|nil error
function _M.key(discovery, kid)
    local issuer = issuers[discovery]
    if issuer and ngx.now() < issuer.expires_at and issuer.keys[kid] then
        return issuer.keys[kid]
    end
    local err
    issuer, err = fetch(discovery)
    if not issuer then
        return nil, err
    end
    local key = issuer.keys[kid]
    return key, not key and "the issuer has no such key" or nil
end

return _M
