--- Holds the configuration that is in force in this worker; no other module may keep one.
local _M = {}

local snapshot

--- { router, metadata }, or nil before the first configuration was accepted.
function _M.current()
    return snapshot
end

--- Replaces the configuration as a whole.
function _M.replace(new)
    snapshot = new
end

return _M
