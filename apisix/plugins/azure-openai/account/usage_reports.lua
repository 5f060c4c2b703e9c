--- Remembers which stored responses have reported their usage. Each reports the same whenever it is read.
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx

local dict = ngx.shared["azure-openai-ownership"]

-- A name space of its own: nothing else that is kept by an id begins like this.
local PREFIX = "reported|"
-- Azure keeps responses as long.
local REMEMBER_SECONDS = 30 * 86400

local _M = {}

--- Notes, in this replica, that the usage of a resource has been counted.
-- @param id string
-- @return boolean whether it is for the first time
function _M.note_report(id)
    return dict:add(PREFIX .. id, true, REMEMBER_SECONDS) == true
end

--- Whether this replica knows that the usage of a resource has been counted.
-- @param id string
-- @return boolean
function _M.is_reported(id)
    return dict:get(PREFIX .. id) ~= nil
end

--- Whether a resource reports its usage for the first time, in any replica. Not in the log phase.
-- @param id string
-- @return boolean
function _M.is_first_report(id)
    if not _M.note_report(id) then
        return false
    end
    local reports = shared_state.count("reported:" .. id, 1, REMEMBER_SECONDS * 1000)
    return reports == nil or reports == 1
end

return _M
