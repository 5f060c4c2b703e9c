--- How many responses this worker follows that are made in the background: a bounded number, so that they take a
--- bounded part of its timers and of the backends' time. No client takes all of it.
local fair_share = require("apisix.plugins.azure-openai.base.fair_share")

local MOST_RESPONSES = 200

local _M = {}

local followed = fair_share.new(MOST_RESPONSES)

local function name_of(client)
    return client and client.name or ""
end

--- Whether one more of a client's can be followed.
-- @param client table|nil the client's configuration
-- @return boolean
function _M.have_room(client)
    return followed:has_room(name_of(client))
end

--- One more is followed.
function _M.begin(client)
    followed:take(name_of(client))
end

--- One less is followed.
function _M.finish(client)
    followed:give_back(name_of(client))
end

return _M
