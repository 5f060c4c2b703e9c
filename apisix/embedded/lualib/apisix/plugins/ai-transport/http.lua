--- The HTTP client of ai-proxy-multi. The embedded engine leaves it out: the gateway's hook replaces `request` for its
-- own driver, and no other driver is offered.
local _M = {}

--- Sends the request that a driver has built.
-- @return table|nil response
-- @return string|nil error
function _M.request()
    return nil, "the embedded engine sends no requests for other drivers than the gateway's"
end

return _M
