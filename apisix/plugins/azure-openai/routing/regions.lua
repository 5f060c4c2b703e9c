--- The region of each backend: the configured one, else the one that its answers name. For labels and logs only.

local setmetatable = setmetatable
local type = type

-- By backend of the current configuration, in this worker; a reload forgets them.
local learned = setmetatable({}, { __mode = "k" })

-- "East US", "swedencentral". Anything else could make metrics and logs unreadable.
local NAME = "^%w[%w ._-]*$"
local LONGEST_BYTES = 64

local _M = {}

--- The region of a backend.
-- @param backend table
-- @return string|nil
function _M.of(backend)
    return backend.region or learned[backend]
end

--- Learns the region from the headers of an answer.
-- @param backend table
-- @param headers table|nil
function _M.learn(backend, headers)
    local region = headers and headers["x-ms-region"]
    if type(region) == "string" and #region <= LONGEST_BYTES and region:find(NAME) then
        learned[backend] = learned[backend] or region
    end
end

return _M
