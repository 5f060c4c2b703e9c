--- Holds the configuration in force in this worker; nothing else may keep one.
local _M = {}

local snapshot

--- {routes, router, global_rules, metadata, version}, or nil before the first one was accepted.
function _M.current()
    return snapshot
end

--- Replaces the configuration as a whole.
function _M.replace(new)
    snapshot = new
end

return _M
