--- The one credential with which the gateway calls a backend.
local identity = require("apisix.plugins.azure-openai.attempt.identity")

local _M = {}

--- Adds the backend's credential to request headers.
-- @param headers table changed in place
-- @return boolean|nil true, or nil and an error
function _M.add(headers, backend)
    if backend.auth ~= "managed-identity" then
        headers["api-key"] = backend.key
        return true
    end

    local token, err = identity.token(backend)
    if not token then
        return nil, err
    end
    headers["authorization"] = "Bearer " .. token
    return true
end

return _M
