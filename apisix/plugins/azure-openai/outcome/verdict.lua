--- Decides whether a backend's answer is for the client or a reason to try another backend.
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local error_codes = require("apisix.plugins.azure-openai.outcome.error_codes")

local type = type

local _M = {}

local NOTHING = {}

local function error_of(body)
    local decoded = body and bounded_json.decode(body)
    local err = type(decoded) == "table" and decoded.error
    return type(err) == "table" and err or NOTHING
end

--- The code of an error: '{"error":{"code":"content_filter"}}' -> "content_filter".
-- @param body string|nil
-- @return string "" when it has none
function _M.error_code(body)
    local code = error_of(body).code
    return type(code) == "string" and code or ""
end

--- The words of an error.
-- @param body string|nil
-- @return string|nil
function _M.error_message(body)
    local message = error_of(body).message
    return type(message) == "string" and message or nil
end

-- Anthropic's models are overloaded: like a 429, this says nothing against the backend.
local OVERLOADED = 529

local function is_overloaded(status, body)
    return status == OVERLOADED or (status >= 500 and error_of(body).type == "overloaded_error")
end

--- Classifies an answer that was read whole: (429, …) -> "throttled", (400, content filter) -> nil.
-- @param status number
-- @param body string|nil
-- @param refers_to_stored boolean whether the request refers to a resource that another backend may hold
-- @return string|nil reason of a failed attempt: "throttled", "credential" (refused for everything), "forbidden"
--   (refused for this), "not_deployed", "not_found" or "server_error"; nil when the answer is for the client
function _M.reason(status, body, refers_to_stored)
    if status == 429 or is_overloaded(status, body) then
        return "throttled"
    end
    if status == 401 then
        return error_of(body).code == "PermissionDenied" and "forbidden" or "credential"
    end
    if status == 403 then
        return "forbidden"
    end
    if status == 408 or status >= 500 then
        return "server_error"
    end
    if status == 400 or status == 404 then
        local place = error_codes.place(error_of(body), refers_to_stored)
        return place or (status == 404 and refers_to_stored and "not_found") or nil
    end
    return nil
end

return _M
