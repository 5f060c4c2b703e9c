--- Ids of requests that come from outside, as they may stand in logs.
local type = type

local LONGEST_BYTES = 128

local _M = {}

--- Whether a value is an id that cannot break a log line.
-- @param value any of a header
-- @return boolean
function _M.is_plain(value)
    return type(value) == "string" and #value <= LONGEST_BYTES and value:find("^[%w._:-]+$") ~= nil
end

return _M
