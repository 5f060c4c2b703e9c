--- Tokens of a workload identity, as on AKS: Entra ID exchanges the token of the pod's service account.
--
-- Source: "Microsoft identity platform and the OAuth 2.0 client credentials flow", third case: access token request
-- with a federated credential. The webhook of AKS sets the variables and mounts the file.
local environment = require("apisix.plugins.azure-openai.base.environment")
local token_request = require("apisix.plugins.azure-openai.attempt.token_request")

local io_open = io.open
local ngx_encode_args = ngx.encode_args
local ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
local MOST_FILE_BYTES = 65536

local FILE = environment.get("AZURE_FEDERATED_TOKEN_FILE")
local TENANT = environment.get("AZURE_TENANT_ID")
local AUTHORITY = environment.get("AZURE_AUTHORITY_HOST") or "https://login.microsoftonline.com"

local _M = {}

_M.NAME = "the workload identity of AZURE_FEDERATED_TOKEN_FILE"

function _M.is_here()
    return FILE ~= nil
end

-- As in Azure's SDKs the scheme may be missing. Never without TLS, because the assertion is a credential.
local function endpoint_of_authority()
    local base = AUTHORITY:find("://", 1, true) and AUTHORITY or "https://" .. AUTHORITY
    local endpoint = token_request.endpoint(base:gsub("/+$", "") .. "/" .. TENANT .. "/oauth2/v2.0/token")
    return endpoint and endpoint.scheme == "https" and endpoint or nil
end

-- The token of the service account. Read anew each time: Kubernetes replaces it about every hour.
local function read_assertion()
    local file, err = io_open(FILE, "r")
    if not file then
        return nil, "AZURE_FEDERATED_TOKEN_FILE cannot be read: " .. err
    end
    local text = file:read(MOST_FILE_BYTES)
    file:close()
    local assertion = text and text:match("^%s*(%S+)%s*$")
    if not assertion then
        return nil, "AZURE_FEDERATED_TOKEN_FILE names a file that holds no token: " .. FILE
    end
    return assertion
end

local function problem(client_id)
    if not TENANT then
        return "AZURE_TENANT_ID is not set"
    elseif not TENANT:find("^[%w.-]+$") then
        return "AZURE_TENANT_ID is not the id of a tenant"
    elseif not client_id then
        return "AZURE_CLIENT_ID is not set, nor AZURE_OPENAI_CLIENT_ID_<N> of the backend; on AKS annotate the service "
            .. "account with azure.workload.identity/client-id"
    end
    return nil
end

--- Asks for a token; results as in app_service_identity.lua.
-- @param scope string for example "https://cognitiveservices.azure.com/.default"
-- @param client_id string|nil of the identity
function _M.request(scope, client_id)
    local missing = problem(client_id)
    if missing then
        return nil, "workload identity: " .. missing
    end
    local endpoint = endpoint_of_authority()
    if not endpoint then
        return nil, "workload identity: AZURE_AUTHORITY_HOST is not an https URL"
    end
    local assertion, unreadable = read_assertion()
    if not assertion then
        return nil, "workload identity: " .. unreadable
    end
    local token, err, expires_on = token_request.send(endpoint, {
        method = "POST",
        headers = { ["Content-Type"] = "application/x-www-form-urlencoded" },
        body = ngx_encode_args({
            grant_type = "client_credentials",
            client_id = client_id,
            scope = scope,
            client_assertion_type = ASSERTION_TYPE,
            client_assertion = assertion,
        }),
    })
    return token, err and "workload identity: " .. endpoint.host .. " " .. err, expires_on
end

return _M
