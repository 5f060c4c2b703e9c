--- Chooses where tokens of managed identities come from.
--
-- The environment decides, in the order of Azure's DefaultAzureCredential.
local SOURCES = {
    require("apisix.plugins.azure-openai.attempt.workload_identity"),
    require("apisix.plugins.azure-openai.attempt.app_service_identity"),
    require("apisix.plugins.azure-openai.attempt.vm_identity"),
}

local ipairs = ipairs

local _M = {}

--- The source of this gateway.
-- @return table { NAME, request } as app_service_identity.lua has them
function _M.chosen()
    for _, source in ipairs(SOURCES) do
        if source.is_here() then
            return source
        end
    end
    return nil
end

return _M
