--- Decides whether a backend's answer is for the client or a reason to try another backend.
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local errors = require("apisix.plugins.azure-openai.base.errors")

local type = type

local _M = {}

local function error_code(body)
    local decoded = body and bounded_json.decode(body)
    local err = type(decoded) == "table" and decoded.error
    return type(err) == "table" and type(err.code) == "string" and err.code or ""
end

-- Whether the backend does not hold the resource that the request refers to.
local function is_elsewhere(status, code)
    return status == 404 or code:find("not_found", 1, true) ~= nil or code == "invalid_encrypted_content"
end

--- Classifies an answer that was read whole: (429, …) -> "throttled", (400, content filter) -> nil.
-- @param status number
-- @param body string|nil
-- @param refers_to_stored boolean whether the request refers to a resource that another backend may hold
-- @return string|nil reason of a failed attempt: "throttled", "credential" (refused for everything), "forbidden"
--   (refused for this), "not_deployed", "not_found" or "server_error"; nil when the answer is for the client
function _M.reason(status, body, refers_to_stored)
    if status == 429 then
        return "throttled"
    end
    if status == 401 then
        return error_code(body) == "PermissionDenied" and "forbidden" or "credential"
    end
    if status == 403 then
        return "forbidden"
    end
    if status == 408 or status >= 500 then
        return "server_error"
    end
    if status == 400 or status == 404 then
        local code = error_code(body)
        if code == errors.DEPLOYMENT_NOT_FOUND then
            return "not_deployed"
        end
        if (refers_to_stored or code == "invalid_encrypted_content") and is_elsewhere(status, code) then
            return "not_found"
        end
    end
    return nil
end

return _M
