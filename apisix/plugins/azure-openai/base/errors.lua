--- Error answers in the shape that Azure OpenAI and the OpenAI SDKs share.
local core = require("apisix.core")

local tostring = tostring

local _M = {}

--- Azure's code for a deployment that does not exist.
_M.DEPLOYMENT_NOT_FOUND = "DeploymentNotFound"

-- `type` and the usual `code` of each status that the gateway itself answers. Codes that are numbers are Azure's own.
local ERRORS = {
    [400] = { type = "invalid_request_error", code = "invalid_request" },
    [401] = { type = "authentication_error", code = "401" },
    [403] = { type = "permission_error", code = "forbidden" },
    [404] = { type = "not_found_error", code = "404" },
    [413] = { type = "invalid_request_error", code = "request_too_large" },
    [426] = { type = "invalid_request_error", code = "upgrade_required" },
    [429] = { type = "rate_limit_error", code = "429" },
    [431] = { type = "invalid_request_error", code = "request_header_too_large" },
    [500] = { type = "server_error", code = "500" },
    [502] = { type = "server_error", code = "502" },
    [503] = { type = "server_error", code = "service_unavailable" },
    [504] = { type = "server_error", code = "gateway_timeout" },
    [507] = { type = "server_error", code = "insufficient_storage" },
}

local function type_of(status)
    local known = ERRORS[status]
    return known and known.type or (status >= 500 and "server_error" or "invalid_request_error")
end

--- Builds the JSON text of an error.
--
--     body(404, "No such thing.") -> {"error":{"code":"404","message":"No such thing.","type":"not_found_error"}}
--
-- @param status number HTTP status
-- @param message string for people; must not hold secrets
-- @param code string|nil machine-readable code; nil for the usual one of the status
-- @return string
function _M.body(status, message, code)
    local known = ERRORS[status]
    return core.json.encode({
        error = {
            code = code or (known and known.code) or tostring(status),
            message = message,
            type = type_of(status),
        },
    })
end

--- Answers a request from inside a plugin phase: `return errors.respond(ctx, 404, message)`.
-- @param code string|nil as for `body`
-- @return number status, string body
function _M.respond(ctx, status, message, code)
    -- Marks the answer as shaped, so azure-openai-gateway leaves it alone.
    ctx.azure_openai_shaped = true
    core.response.set_header("Content-Type", "application/json")
    core.response.set_header("Upgrade", status == 426 and "websocket" or nil)
    return status, _M.body(status, message, code)
end

return _M
