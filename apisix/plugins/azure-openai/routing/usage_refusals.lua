--- Which deployments do not let the gateway ask for the usage of a stream. Others are asked in vain once an hour.
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local stream_options = require("apisix.plugins.azure-openai.request.stream_options")

local REMEMBER_SECONDS = 3600

local _M = {}

local function kind_of(request)
    return stream_options.has_data(request) and "no-usage-of-data" or "no-usage"
end

--- Whether a backend is known to refuse that, so it gets the client's own bytes.
-- @param attempt Attempt
-- @param request Request
-- @return boolean
function _M.is_known(attempt, request)
    return request.as_sent ~= nil
        and memory.get(kind_of(request), attempt.backend, attempt.deployment) == true
end

--- Notes that a backend has refused the usage and taken the client's own bytes.
function _M.note(attempt, request)
    memory.set(kind_of(request), attempt.backend, attempt.deployment, true, REMEMBER_SECONDS)
end

return _M
