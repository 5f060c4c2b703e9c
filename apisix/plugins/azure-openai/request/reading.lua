--- Reads a client's request once, for whoever serves it: surface, operation, deployment, body.
local core = require("apisix.core")
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")
local multipart = require("apisix.plugins.azure-openai.request.multipart")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")
local request_body = require("apisix.plugins.azure-openai.request.body")
local surface = require("apisix.plugins.azure-openai.request.surface")
local usage = require("apisix.plugins.azure-openai.account.usage")
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local ngx = ngx
local ipairs = ipairs
local next = next
local pairs = pairs
local type = type
local math_min = math.min
local has_prefix = core.string.has_prefix

-- Azure's names are shorter. Longer ones would only fill the memory of what is known of deployments.
local LONGEST_NAME_BYTES = 128

-- Methods to whose body HTTP gives no meaning (RFC 9110, section 9.3).
local WITHOUT_BODY = { GET = true, HEAD = true, DELETE = true, OPTIONS = true }

local NOT_PLAIN = "The request path is not in its plain form: it must begin with /openai/ and have no empty, '.' or "
    .. "'..' segments, no '/' at its end, no backslash and no encoded '/', '.' or backslash."

local _M = {}

local function content_type(ctx)
    local value = core.request.header(ctx, "content-type")
    -- A body without a type is taken for JSON, as the SDKs' and curl users' intent.
    return type(value) == "string" and value:lower() or "application/json"
end

-- APISIX keeps the decoded body, so that the AI plugins that follow do not decode it again.
local function decode(ctx, max_bytes)
    if not has_prefix(content_type(ctx), "application/json") then
        return nil
    end
    local decoded = core.request.get_json_request_body_table(max_bytes)
    -- An empty table could be an array; nothing could be done with an empty object either.
    return type(decoded) == "table" and #decoded == 0 and next(decoded) and decoded or nil
end

-- The deployment that a form names, and where. Files to be stored name none and can be large.
local function named_in_form(ctx, body, operation)
    if not body or ownership.is_homed(operation) then
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
    -- One byte more than a name can have is enough to see that it is none.
    return request_body.slice(body, place.offset, math_min(place.length, LONGEST_NAME_BYTES + 1)), nil, place
end

-- Returns the deployment ("" for none) or nil and what is wrong, and for a form the place of the name.
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
    if ownership.kind(operation) == "/fine_tuning" then
        -- Its `model` is the one to be trained, which need not be deployed.
        return ""
    end
    local name = decoded and decoded.model
    return type(name) == "string" and name or ""
end

-- Bytes that may not stand in a request line or a header value (RFC 3986, RFC 9110). nginx lets some of them
-- through; what would break at every backend is the client's fault and must not count against a backend.
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

-- Names that no deployment can have, before they reach any state or label. A leading slash marks kinds of resources.
local function is_deployment_name(name)
    return #name <= LONGEST_NAME_BYTES and not name:find("[%c\128-\255]") and name:byte(1) ~= 47
end

--- Reads the request of any kind.
-- @param max_bytes number largest body
-- @return table|nil request { method, is_bodyless (a body would mean nothing), target (path and query), headers,
--   kind (surface), operation, deployment ("" for none), deployment_place (in a form), resource (kind of stored
--   resource), body, decoded, is_upgrade }
-- @return number|nil status of the refusal
-- @return string|nil message
function _M.read(ctx, max_bytes)
    -- Not `ctx.var`, whose request_uri APISIX has normalised.
    local target, headers = ngx.var.request_uri, core.request.headers(ctx)
    if is_malformed(target, headers) then
        return nil, 400, "The request has characters in its path or headers that HTTP does not allow."
    end
    if type(headers["content-type"]) == "table" then
        return nil, 400, "The request has more than one Content-Type."
    end
    if not surface.is_plain(target) then
        return nil, 400, NOT_PLAIN
    end
    local body, err = request_body.read(max_bytes)
    if err then
        return nil, 413, err
    end

    local kind, operation, deployment = surface.parse(ctx.var.uri)
    if websocket.is_realtime(operation) then
        target = websocket.without_credentials(target)
    end
    local decoded = body and decode(ctx, max_bytes)
    local fault, place
    if not deployment then
        deployment, fault, place = named_deployment(ctx, target, operation, body, decoded)
        if fault then
            return nil, 400, fault
        end
    end
    if not is_deployment_name(deployment) then
        return nil, 404, "No deployment has such a name."
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
        resource = ownership.kind(operation),
        body = body,
        decoded = decoded,
        is_upgrade = websocket.is_requested(ctx),
    }
end

--- What keeps a request from being an inference request.
-- @return string|nil message
function _M.inference_fault(request)
    local decoded = request.decoded
    if not decoded then
        return "The request body is not a JSON object."
    end
    if decoded.model == ngx.null then
        -- ai-proxy-multi takes whatever stands there for a name; the bytes that are sent keep their null.
        decoded.model = nil
    end
    if decoded.model ~= nil and type(decoded.model) ~= "string" then
        return "The member 'model' is not a string."
    end
    return nil
end

--- Replaces the body by what a plugin made of it.
-- @param decoded table
function _M.replace_body(request, decoded)
    request.decoded = decoded
    request.body = request_body.of_text(core.json.encode(decoded))
end

--- Asks for token usage where the stream would not carry it.
-- @return boolean whether the usage chunk has to be kept from the client
function _M.ask_for_usage(ctx, request)
    local text = request_body.text(request.body)
    local changed, hide = usage.request(ctx, request.kind, request.operation, request.decoded, text)
    if hide then
        request.body = request_body.of_text(changed)
    end
    return hide
end

local function renamed_body(request, name)
    if request.decoded then
        return request_body.of_text(json_edit.set(request_body.text(request.body), "model", name))
    end
    local place = request.deployment_place
    return request_body.with_replacement(request.body, place.offset, place.length, name)
end

--- The request as a backend that calls the deployment `name` has to get it.
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
