--- The region of each backend: the configured one, else the one that its answers name. For labels and logs only.

local memory = require("apisix.plugins.azure-openai.routing.pair_memory")

local setmetatable = setmetatable
local type = type

-- By backend of the current configuration, in this worker. All workers share the region that the first answer names.
local learned = setmetatable({}, { __mode = "k" })
local KIND = "region"
local REMEMBER_SECONDS = 30 * 86400

-- "East US", "swedencentral". Anything else could make metrics and logs unreadable.
local NAME = "^%w[%w ._-]*$"
local LONGEST_BYTES = 64

local _M = {}

--- The region of a backend.
-- @param backend table
-- @return string|nil
function _M.of(backend)
    local region = backend.region or learned[backend]
    if not region then
        region = memory.get(KIND, backend, memory.EVERY)
        learned[backend] = region
    end
    return region
end

--- Learns the region from the headers of an answer.
-- @param backend table
-- @param headers table|nil
function _M.learn(backend, headers)
    local region = headers and headers["x-ms-region"]
    if type(region) ~= "string" or #region > LONGEST_BYTES or _M.of(backend) then
        return
    end
    if region:find(NAME) then
        memory.add(KIND, backend, memory.EVERY, region, REMEMBER_SECONDS)
        learned[backend] = memory.get(KIND, backend, memory.EVERY)
    end
end

return _M
