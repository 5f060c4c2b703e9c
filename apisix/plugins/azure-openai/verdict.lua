--- What a backend's answer means for the request: the client's business, or a reason to try elsewhere.
local core = require("apisix.core")

local _M = {}

-- Azure reports a missing deployment as 404; so does a missing response, file or path, which is the client's.
local function is_deployment_missing(body)
    local decoded = body and core.json.decode(body)
    local err = type(decoded) == "table" and decoded.error
    return type(err) == "table" and err.code == "DeploymentNotFound"
end

--- Tells whether the status alone may be a failure, so that the body has to be read before anything is decided.
-- @return boolean
function _M.needs_body(status)
    return status >= 400
end

--- Classifies a completely read error answer.
-- @param status number 400 or more
-- @param body string|nil
-- @return string|nil reason of a failed attempt: "throttled", "credential", "not_deployed", "server_error";
--   nil when the answer is for the client
function _M.reason(status, body)
    if status == 429 then
        return "throttled"
    end
    if status == 401 or status == 403 then
        return "credential"
    end
    if status == 404 then
        return is_deployment_missing(body) and "not_deployed" or nil
    end
    if status == 408 or status >= 500 then
        return "server_error"
    end
    return nil
end

return _M
