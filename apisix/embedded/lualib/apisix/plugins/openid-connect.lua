--- openid-connect for one purpose: bearer tokens, verified with the issuer's published keys.
local core = require("apisix.core")
local jwks = require("embedded.jwks")
local jwt = require("embedded.jwt")
local offered = require("embedded.offered")
local rsa = require("embedded.rsa")

local array_find = core.table.array_find
local ipairs = ipairs
local ngx = ngx
local type = type

local ALGORITHM = "RS256"
-- How long an expired token is still accepted: the default of lua-resty-openidc's iat_slack.
local LEEWAY_SECONDS = 120
-- APISIX's plugin tells its findings to other plugins in these headers, so no client may send them.
local OUTPUT_HEADERS = { "X-Access-Token", "X-Userinfo", "X-ID-Token", "X-Refresh-Token", "X-Raw-ID-Token" }

local yes, no, text = { enum = { true } }, { enum = { false } }, { type = "string" }

local schema = {
    type = "object",
    properties = {
        bearer_only = yes,
        use_jwks = yes,
        realm = { type = "string", default = "apisix" },
        client_id = text,
        discovery = text,
        token_signing_alg_values_expected = { enum = { ALGORITHM } },
        accept_unsupported_alg = no,
        claim_validator = offered.object({
            issuer = offered.object({ valid_issuers = { type = "array", minItems = 1, items = text } }),
            audience = offered.object({ required = yes, match_with_client_id = yes }),
        }),
        claim_schema = { type = "object" },
        set_access_token_header = no,
        set_id_token_header = no,
        set_userinfo_header = { type = "boolean", default = true },
    },
    required = {
        "bearer_only",
        "use_jwks",
        "client_id",
        "discovery",
        "token_signing_alg_values_expected",
        "claim_validator",
        "set_access_token_header",
    },
}

local _M = { version = 0.2, priority = 2599, name = "openid-connect", schema = schema }

function _M.check_schema(conf)
    return offered.check(schema, conf)
end

local function unauthorized(conf, reason)
    local challenge = 'Bearer realm="' .. conf.realm .. '"'
    if reason then
        core.log.error("OIDC introspection failed: ", reason)
        challenge = challenge .. ', error="invalid_token", error_description="' .. reason .. '"'
    end
    core.response.set_header("WWW-Authenticate", challenge)
    return 401
end

-- The claims are used only after the signature has been verified. The key is found by its id alone; a token's own
-- hints about where its key is (jku, x5u, jwk) are ignored.
local function verified_claims(conf, token)
    local parsed = jwt.parse(token)
    if not parsed then
        return nil, "invalid jwt"
    elseif parsed.header.alg ~= ALGORITHM then
        return nil, "token is signed by unexpected algorithm"
    elseif type(parsed.header.kid) ~= "string" then
        return nil, "token names no key"
    end
    local key, err = jwks.key(conf.discovery, parsed.header.kid)
    if not key then
        return nil, err
    elseif not rsa.is_signed(key, parsed.signed, parsed.signature) then
        return nil, "jwt signature verification failed"
    end
    return parsed.claims
end

local function fault_of(conf, claims)
    if not array_find(conf.claim_validator.issuer.valid_issuers, claims.iss) then
        return "issuer is not accepted"
    elseif claims.exp ~= nil and type(claims.exp) ~= "number" then
        return "exp is not a number"
    elseif claims.exp and claims.exp + LEEWAY_SECONDS < ngx.time() then
        return "JWT expired"
    end
    return nil
end

local function audience_fault(conf, audience)
    if audience == nil then
        return "required audience claim not present"
    elseif not array_find(type(audience) == "table" and audience or { audience }, conf.client_id) then
        return "mismatched audience"
    end
    return nil
end

function _M.rewrite(conf, ctx)
    for _, name in ipairs(OUTPUT_HEADERS) do
        core.request.set_header(ctx, name, nil)
    end
    local token = (core.request.header(ctx, "Authorization") or ""):match("^[Bb][Ee][Aa][Rr][Ee][Rr] (.+)$")
    if not token then
        return unauthorized(conf)
    end

    local claims, err = verified_claims(conf, token)
    err = err or fault_of(conf, claims)
    if err then
        return unauthorized(conf, err)
    end
    err = audience_fault(conf, claims.aud)
    if err then
        core.log.error("OIDC introspection failed: ", err)
        return 403, core.json.encode({ error = err })
    end
    local ok
    ok, err = core.schema.check(conf.claim_schema or {}, claims)
    if not ok then
        return unauthorized(conf, err)
    end
    if conf.set_userinfo_header then
        core.request.set_header(ctx, "X-Userinfo", ngx.encode_base64(core.json.encode(claims)))
    end
    return nil
end

return _M
