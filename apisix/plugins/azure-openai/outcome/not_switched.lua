--- What it means when a backend answers an upgrade, outside of realtime, with plain HTTP.
--
-- Coding agents try a WebSocket first and go on with HTTP when the answer is 426, and only then.
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local ipairs = ipairs

-- It has switched, or it is throttled or fails. So are all 5xx but those of a server that knows no such protocol.
local SAYS_NOTHING = { [101] = true, [408] = true, [429] = true }
local UNKNOWING = { [501] = true, [505] = true }

local _M = {}

--- Whether a status says that this backend has no WebSocket there. Also 200 does, and 401, which Azure answers for
--- paths that it does not know.
-- @param request Request
-- @param status number
-- @return boolean
function _M.is_told_by(request, status)
    if SAYS_NOTHING[status] or not websocket.is_optional(request) then
        return false
    end
    return status < 500 or UNKNOWING[status] or false
end

--- Whether that is what the failed attempts of a request came to: some backend has told so.
-- @param request Request
-- @param failures Outcome[]
-- @return boolean
function _M.is_outcome(request, failures)
    for _, failure in ipairs(failures) do
        if failure.status and _M.is_told_by(request, failure.status) then
            return true
        end
    end
    return false
end

--- The answer when no backend has switched.
-- @return Answer
function _M.compose()
    return {
        status = 426,
        headers = {},
        upgrade = "websocket",
        problem = { message = "No backend switches to a WebSocket here. Use plain HTTP." },
    }
end

return _M
