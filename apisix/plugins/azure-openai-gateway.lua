--- Frames every request below /openai/: starts its record, holds the pool's configuration, and gives errors that
--- other plugins make the shape that clients understand.
local core = require("apisix.core")
local availability = require("apisix.plugins.azure-openai.availability")
local errors = require("apisix.plugins.azure-openai.errors")
local schemas = require("apisix.plugins.azure-openai.schemas")

local ngx = ngx
local type = type

local PLUGIN = "azure-openai-gateway"
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 12000,
    name = PLUGIN,
    schema = document.schema,
    metadata_schema = document.metadata_schema,
    check_schema = schemas.checker(document),
}

-- A client may bring its own id; one that could break a log line is replaced.
local function request_id(ctx)
    local given = core.request.header(ctx, "x-request-id")
    if type(given) == "string" and #given <= 128 and given:find("^[%w._:-]+$") then
        return given
    end
    return ctx.var.request_id
end

function _M.rewrite(_, ctx)
    ctx.azure_openai = {
        request_id = request_id(ctx),
        trail = {},
    }
end

function _M.header_filter(_, ctx)
    if not ngx.header["X-Request-ID"] then
        ngx.header["X-Request-ID"] = ctx.azure_openai and ctx.azure_openai.request_id
    end

    if ngx.status >= 400 and not ctx.azure_openai_shaped then
        ctx.azure_openai_reshape = true
        core.response.clear_header_as_body_modified()
        ngx.header["Content-Type"] = "application/json"
    end
end

-- The message of a stock plugin's error body, whatever its form.
local function message_of(body)
    local decoded = core.json.decode(body)
    if type(decoded) ~= "table" then
        return nil
    end
    local message = decoded.error_msg or decoded.message or decoded.error
    return type(message) == "string" and message or nil
end

local STATUS_CODES = {
    [400] = "invalid_request", [403] = "forbidden", [413] = "request_too_large", [429] = "429",
    [503] = "service_unavailable",
}

function _M.body_filter(_, ctx)
    if not ctx.azure_openai_reshape then
        return
    end
    local body = core.response.hold_body_chunk(ctx)
    if not body then
        return
    end

    local status = ngx.status
    ngx.arg[1] = errors.body(status, STATUS_CODES[status] or tostring(status),
        message_of(body) or "The gateway refused the request.")
end

function _M.log(_, ctx)
    local state = ctx.azure_openai
    if state and state.pending then
        availability.release(state.pending.backend, state.pending.deployment)
    end
end

return _M
