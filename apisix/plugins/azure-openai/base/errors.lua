--- Error answers in the shape of the client's surface: that of Azure OpenAI and the OpenAI SDKs, or Anthropic's.
local core = require("apisix.core")

local ngx = ngx
local tostring = tostring

local _M = {}

--- Azure's code for a deployment that does not exist.
_M.DEPLOYMENT_NOT_FOUND = "DeploymentNotFound"

--- The longest time that a `Retry-After` names: SDKs give up when they are asked to wait longer.
_M.LONGEST_RETRY_AFTER_SECONDS = 120

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

-- Anthropic's types, where they differ.
local ANTHROPIC_TYPES = { [413] = "request_too_large", [504] = "timeout_error" }

local function type_of(status)
    local known = ERRORS[status]
    return known and known.type or (status >= 500 and "server_error" or "invalid_request_error")
end

local function anthropic_type_of(status)
    return ANTHROPIC_TYPES[status] or status >= 500 and "api_error" or type_of(status)
end

--- What the gateway has to say itself. Unknown fields have the usual value of the status.
---@class Problem
---@field message string for people; must not hold secrets
---@field code string|nil machine-readable; ngx.null for none
---@field type string|nil
---@field param string|nil the member that is at fault; ngx.null for none

local function given(value)
    return value ~= ngx.null and value or nil
end

--- Builds the JSON text of an error.
--
--     text(404, { message = "No such thing." }) ->
--         {"error":{"code":"404","message":"No such thing.","type":"not_found_error"}}
--     text(404, { message = "No such thing." }, surfaces.ANTHROPIC) ->
--         {"type":"error","error":{"message":"No such thing.","type":"not_found_error"}}
--
-- @param status number HTTP status
-- @param problem Problem
-- @param surface Surface|nil of the client; nil where there is none
-- @return string
function _M.text(status, problem, surface)
    if surface and surface.has_anthropic_errors then
        return core.json.encode({
            type = "error",
            error = {
                type = anthropic_type_of(status),
                message = problem.message,
                code = given(problem.code),
            },
        })
    end
    local known = ERRORS[status]
    return core.json.encode({
        error = {
            code = problem.code or (known and known.code) or tostring(status),
            message = problem.message,
            param = problem.param,
            type = problem.type or type_of(status),
        },
    })
end

--- Answers a request from inside a plugin phase: `return errors.respond(ctx, 404, message)`.
-- @param message string as in a problem
-- @param code string|nil as in a problem
-- @return number status, string body
function _M.respond(ctx, status, message, code)
    -- Marks the answer as shaped, so azure-openai-gateway leaves it alone.
    ctx.azure_openai_shaped = true
    core.response.set_header("Content-Type", "application/json")
    core.response.set_header("Upgrade", status == 426 and "websocket" or nil)
    local state = ctx.azure_openai
    return status, _M.text(status, { message = message, code = code }, state and state.surface)
end

return _M
