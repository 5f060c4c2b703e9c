--- Error answers in the shape that Azure OpenAI and the OpenAI SDKs share.
local core = require("apisix.core")

local _M = {}

local TYPES = {
    [400] = "invalid_request_error",
    [401] = "authentication_error",
    [403] = "permission_error",
    [404] = "not_found_error",
    [413] = "invalid_request_error",
    [429] = "rate_limit_error",
}

--- Builds the JSON text of an error.
-- @param status number HTTP status
-- @param code string machine-readable code, for example "DeploymentNotFound"
-- @param message string for people; must not hold secrets
-- @return string
function _M.body(status, code, message)
    return core.json.encode({
        error = {
            code = code,
            message = message,
            type = TYPES[status] or (status >= 500 and "server_error" or "invalid_request_error"),
        },
    })
end

--- Answers a request from inside a plugin phase: `return errors.respond(ctx, 404, code, message)`.
-- @return number status, string body
function _M.respond(ctx, status, code, message)
    -- Marks the answer as shaped, so that the gateway plugin leaves it alone.
    ctx.azure_openai_shaped = true
    core.response.set_header("Content-Type", "application/json")
    return status, _M.body(status, code, message)
end

return _M
