--- Tokens of the managed identity of Container Apps and App Service; `local-gateway` speaks this protocol too.
--
-- Source: "How to use managed identities for App Service", REST endpoint reference, api-version 2019-08-01.
local environment = require("apisix.plugins.azure-openai.base.environment")
local token_request = require("apisix.plugins.azure-openai.attempt.token_request")

local API_VERSION = "2019-08-01"

local ENDPOINT = environment.get("IDENTITY_ENDPOINT")
local SECRET = environment.get("IDENTITY_HEADER")

local _M = {}

_M.NAME = "the identity endpoint of Container Apps or App Service"

function _M.is_here()
    return ENDPOINT ~= nil
end

--- Asks for a token.
-- @param scope string as Entra ID has it, for example "https://cognitiveservices.azure.com/.default"
-- @param client_id string|nil of a user-assigned identity
-- @return string|nil token
-- @return string|nil error
-- @return number|nil when it expires, in seconds of the clock
function _M.request(scope, client_id)
    if not SECRET then
        return nil, "IDENTITY_ENDPOINT is set, but IDENTITY_HEADER is not"
    end
    local endpoint = token_request.endpoint(ENDPOINT)
    if not endpoint then
        return nil, "IDENTITY_ENDPOINT is not a URL"
    end
    local token, err, expires_on = token_request.send(endpoint, {
        query = token_request.query(API_VERSION, scope, client_id),
        headers = { ["X-IDENTITY-HEADER"] = SECRET },
    })
    return token, err and "the identity endpoint " .. err, expires_on
end

return _M
