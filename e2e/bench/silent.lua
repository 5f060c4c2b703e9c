--- Takes this gateway's records, metrics and traces out of a worker, to measure what all of them cost.
local require = require

local _M = {}

local function nothing() end

--- Called in the worker, when it has loaded its plugins.
function _M.silence()
    require("apisix.plugins.azure-openai.account.metrics").count = nothing
    require("apisix.plugins.azure-openai.account.tracing").begin = nothing
    require("apisix.plugins.azure-openai.account.record").write = function()
        return {}
    end
end

return _M
