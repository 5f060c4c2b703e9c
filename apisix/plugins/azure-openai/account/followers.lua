--- How many responses this worker follows that are made in the background: a bounded number, so that they take a
--- bounded part of its timers and of the backends' time.
local MOST_RESPONSES = 200

local _M = {}

local followed = 0

--- Whether one more can be followed.
-- @return boolean
function _M.have_room()
    return followed < MOST_RESPONSES
end

--- One more is followed.
function _M.begin()
    followed = followed + 1
end

--- One less is followed.
function _M.finish()
    followed = followed - 1
end

return _M
