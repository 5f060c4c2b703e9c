--- Reads a client's request once: surface, operation, deployment, body.
local core = require("apisix.core")
local collections = require("apisix.plugins.azure-openai.request.collections")
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")
local multipart = require("apisix.plugins.azure-openai.request.multipart")
local query = require("apisix.plugins.azure-openai.request.query")
local request_body = require("apisix.plugins.azure-openai.request.body")
local stream_options = require("apisix.plugins.azure-openai.request.stream_options")
local surface = require("apisix.plugins.azure-openai.request.surface")
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local ngx = ngx
local ipairs = ipairs
local next = next
local pairs = pairs
local setmetatable = setmetatable
local type = type
local math_min = math.min
local has_prefix = core.string.has_prefix

-- Azure's names are shorter. Longer ones would only fill the memory that is kept for each deployment.
local LONGEST_NAME_BYTES = 128

-- Methods to whose body HTTP gives no meaning (RFC 9110, section 9.3).
local WITHOUT_BODY = { GET = true, HEAD = true, DELETE = true, OPTIONS = true }

local NOT_PLAIN = "The request path is not in its plain form: it must begin with /openai/ and have no empty, '.' or "
    .. "'..' segments, no '/' at its end, no backslash and no encoded '/', '.' or backslash."

local _M = {}

local function content_type(ctx)
    local value = core.request.header(ctx, "content-type")
    -- A body without a type counts as JSON: that is what users of the SDKs and of curl mean.
    return type(value) == "string" and value:lower() or "application/json"
end

-- APISIX keeps the decoded body, so that the AI plugins that follow do not decode it again.
local function decode(ctx, max_bytes)
    if not has_prefix(content_type(ctx), "application/json") then
        return nil
    end
    local decoded = core.request.get_json_request_body_table(max_bytes)
    -- An empty table could be an array or an object, and neither says anything.
    return type(decoded) == "table" and #decoded == 0 and next(decoded) and decoded or nil
end

-- The deployment that a form names, and its place. Files to be stored name none and can be large.
local function named_in_form(ctx, body, operation)
    if not body or collections.is_homed(operation) then
        return ""
    end
    local places = multipart.locate(body, core.request.header(ctx, "content-type"), "model")
    if #places > 1 then
        return nil, "The form has the field 'model' more than once."
    end
    local place = places[1]
    if not place then
        return ""
    end
    -- One byte more than the longest name is enough to see that it is too long.
    return request_body.slice(body, place.offset, math_min(place.length, LONGEST_NAME_BYTES + 1)), nil, place
end

-- Returns the deployment ("" for none), or nil and the fault; for a form also the place of the name.
local function named_deployment(ctx, target, operation, body, decoded)
    if websocket.is_realtime(operation) then
        local name, fault = websocket.deployment(target)
        return name or (not fault and "" or nil), fault
    end
    if WITHOUT_BODY[ngx.req.get_method()] then
        return ""
    end
    if not decoded and has_prefix(content_type(ctx), "multipart/form-data") then
        return named_in_form(ctx, body, operation)
    end
    if collections.kind(operation) == "/fine_tuning" then
        -- `model` is the one to train, which need not be deployed.
        return ""
    end
    local name = decoded and decoded.model
    return type(name) == "string" and name or ""
end

-- Bytes that a request line or a header value may not hold (RFC 3986, RFC 9110). nginx lets some of them through, and
-- every backend would refuse them. That is the client's fault, so it must not count against a backend.
local NOT_IN_TARGET = "[%z\1-\32#<>`]"
local NOT_IN_VALUE = "[%z\1-\8\10-\31\127]"

local function is_value_malformed(value)
    for _, line in ipairs(type(value) == "table" and value or { value }) do
        if type(line) == "string" and line:find(NOT_IN_VALUE) then
            return true
        end
    end
    return false
end

local function is_malformed(target, headers)
    if target:find(NOT_IN_TARGET) then
        return true
    end
    for _, value in pairs(headers) do
        if is_value_malformed(value) then
            return true
        end
    end
    return false
end

-- Whether a name can be a deployment's. Any other name must not reach state or labels. A leading slash marks a kind of
-- stored resources.
local function is_deployment_name(name)
    return #name <= LONGEST_NAME_BYTES and not name:find("[%c\128-\255]") and name:byte(1) ~= 47
end

local function refused(status, message, code)
    return nil, { status = status, message = message, code = code }
end

--- Reads a request of any kind.
-- @param max_bytes number largest body
-- @return table|nil request { method, is_bodyless (HTTP gives its body no meaning), target (path and query), headers,
--   kind (surface), operation, deployment ("" for none), deployment_place (in a form), resource (kind of stored
--   resource), body, decoded, is_upgrade }
-- @return table|nil refusal { status, message, code (nil for the usual one) }
function _M.read(ctx, max_bytes)
    -- Not `ctx.var`: APISIX has normalised its request_uri.
    local target, headers = ngx.var.request_uri, core.request.headers(ctx)
    if is_malformed(target, headers) then
        return refused(400, "The request has characters in its path or headers that HTTP does not allow.")
    end
    if type(headers["content-type"]) == "table" then
        return refused(400, "The request has more than one Content-Type.")
    end
    if not surface.is_plain(target) then
        return refused(400, NOT_PLAIN)
    end
    local body, status, err = request_body.read(max_bytes)
    if status then
        return refused(status, err)
    end

    local kind, operation, deployment = surface.parse(ctx.var.uri)
    -- A key in the query is not accepted, because queries end up in logs. A backend would take it for the credential.
    target = query.without_credentials(target)
    local decoded = body and decode(ctx, max_bytes)
    local fault, place
    if not deployment then
        deployment, fault, place = named_deployment(ctx, target, operation, body, decoded)
        if fault then
            return refused(400, fault)
        end
    end
    if not is_deployment_name(deployment) then
        return refused(404, "No deployment has such a name.", "DeploymentNotFound")
    end
    local method = ngx.req.get_method()
    return {
        method = method,
        is_bodyless = WITHOUT_BODY[method] == true,
        target = target,
        headers = headers,
        kind = kind,
        operation = operation,
        deployment = deployment,
        deployment_place = place,
        resource = collections.kind(operation),
        body = body,
        decoded = decoded,
        is_upgrade = websocket.is_requested(ctx),
    }
end

--- Why a request cannot be an inference request; nil when it can.
-- @return string|nil message
function _M.inference_fault(request)
    local decoded = request.decoded
    if not decoded then
        return "The request body is not a JSON object."
    end
    if decoded.model == ngx.null then
        -- ai-proxy-multi would take null for a name. The bytes that are sent keep it.
        decoded.model = nil
    end
    if decoded.model ~= nil and type(decoded.model) ~= "string" then
        return "The member 'model' is not a string."
    end
    return nil
end

-- The request with another body. The request that was given stays as it is.
local function with_body(request, text, decoded)
    return setmetatable({ body = request_body.of_text(text), decoded = decoded }, { __index = request })
end

--- The request as it goes to backends: with the body that a plugin made of it, and asked for token usage where the
--- stream would not report it.
-- @param decoded table|nil what an AI plugin made of the body; nil when none changed it
-- @return table request, the same one when nothing changes; `hides_usage` tells that the client must not see the usage
--   chunk
function _M.to_send(ctx, request, decoded)
    if decoded then
        request = with_body(request, core.json.encode(decoded), decoded)
    end
    local text = request_body.text(request.body)
    local changed, is_added =
        stream_options.ask_for_usage(ctx, request.kind, request.operation, request.decoded, text)
    if not is_added then
        return request
    end
    request = with_body(request, changed, request.decoded)
    request.hides_usage = true
    return request
end

local function renamed_body(request, name)
    if request.decoded then
        return request_body.of_text(json_edit.set(request_body.text(request.body), "model", name))
    end
    local place = request.deployment_place
    return request_body.with_replacement(request.body, place.offset, place.length, name)
end

--- What a backend that calls the deployment `name` gets.
-- @param name string
-- @return string path with query
-- @return table|nil body
function _M.for_deployment(request, name)
    if request.deployment == "" or name == request.deployment then
        return request.target, request.body
    end
    if request.kind == "deployments" then
        return surface.rename(request.target, name), request.body
    end
    if websocket.is_realtime(request.operation) then
        return websocket.rename(request.target, name), request.body
    end
    return request.target, renamed_body(request, name)
end

return _M
