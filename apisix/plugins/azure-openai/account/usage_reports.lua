--- Remembers which stored responses have reported their usage. Each reports the same whenever it is read.
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx

local dict = ngx.shared["azure-openai-ownership"]

-- A name space of its own: nothing else that is kept by an id begins like this.
local PREFIX = "reported|"
local DEPLOYMENT = "deployment-of|"
-- A response that is followed is done, or counts as lost, by then.
local FOLLOWED_SECONDS = 4 * 3600
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

--- Notes, in this replica, which deployment makes a response in the background. Its answers name only the model.
-- @param id string
-- @param deployment string
function _M.note_deployment(id, deployment)
    dict:set(DEPLOYMENT .. id, deployment, FOLLOWED_SECONDS)
end

--- The deployment that makes a response in the background, as far as this replica knows.
-- @param id string
-- @return string|nil
function _M.deployment(id)
    return dict:get(DEPLOYMENT .. id)
end

return _M
