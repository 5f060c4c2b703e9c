--- Tokens of the managed identity of a virtual machine, from its instance metadata service (IMDS).
--
-- Source: "How to use managed identities for Azure resources on an Azure VM to acquire an access token",
-- api-version 2018-02-01. AZURE_POD_IDENTITY_AUTHORITY_HOST replaces the address, as in Azure's SDKs.
local environment = require("apisix.plugins.azure-openai.base.environment")
local token_request = require("apisix.plugins.azure-openai.attempt.token_request")

local API_VERSION = "2018-02-01"
local PATH = "/metadata/identity/oauth2/token"
-- The service is on the machine itself. Elsewhere nobody answers at its address.
local CONNECT_TIMEOUT_MS = 1000

local HOST = (environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or "http://169.254.169.254"):gsub(
    "/+$",
    ""
)

local _M = {}

_M.NAME = "the metadata service of the virtual machine"

--- Whether this is a virtual machine is only known when the service answers.
function _M.is_here()
    return true
end

local function explain(err)
    local text = "the metadata service at " .. HOST .. " " .. err
    if err:find("did not answer", 1, true) then
        return "no managed identity here: AZURE_FEDERATED_TOKEN_FILE and IDENTITY_ENDPOINT are not set, and "
            .. text
    end
    return text
end

--- Asks for a token; arguments and results as in app_service_identity.lua.
function _M.request(scope, client_id)
    local endpoint = token_request.endpoint(HOST .. PATH)
    if not endpoint then
        return nil, "AZURE_POD_IDENTITY_AUTHORITY_HOST is not a URL"
    end
    local token, err, expires_on = token_request.send(endpoint, {
        query = token_request.query(API_VERSION, scope, client_id),
        headers = { Metadata = "true" },
        connect_timeout_ms = CONNECT_TIMEOUT_MS,
    })
    return token, err and explain(err), expires_on
end

return _M
