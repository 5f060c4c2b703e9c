--- Where a client may put its credentials, and what never reaches a backend because of that.
local memo = require("apisix.plugins.azure-openai.base.memo")

local ipairs = ipairs

local CLIENT_HEADERS = { "authorization", "api-key", "ocp-apim-subscription-key" }

local _M = {}

--- The headers in which the clients of a surface may put their key, in the order in which they are tried.
-- @param surface Surface|nil
-- @return string[]
function _M.client_headers(surface)
    local further = surface and surface.key_header
    if not further then
        return CLIENT_HEADERS
    end
    return { CLIENT_HEADERS[1], CLIENT_HEADERS[2], CLIENT_HEADERS[3], further }
end

--- Header in which openid-connect puts the claims of a verified token, as JSON in Base64.
_M.VERIFIED_CLAIMS = "x-userinfo"

--- Headers in which openid-connect describes a client. They can be trusted only after it ran.
_M.IDENTITY_HEADERS =
    { _M.VERIFIED_CLAIMS, "x-access-token", "x-id-token", "x-raw-id-token", "x-refresh-token" }

-- A backend or its API management also takes these for a credential.
local OTHER_NAMES = { "subscription-key", "x-api-key" }

local NAMES = {}
for _, names in ipairs({ CLIENT_HEADERS, _M.IDENTITY_HEADERS, OTHER_NAMES }) do
    for _, name in ipairs(names) do
        NAMES[name] = true
    end
end

--- Whether a header or a query argument is a credential to the gateway, a backend or its API management.
--
--     is_credential("api_key") -> true
--
-- @param name string in lower case
-- @return boolean
_M.is_credential = memo.of(function(name)
    -- Much software takes `api_key` for `api-key`.
    return NAMES[(name:gsub("_", "-"))] == true
end)

return _M
