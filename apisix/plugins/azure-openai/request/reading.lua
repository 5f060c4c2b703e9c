--- Reads a client's request once: surface, operation, deployment, body.
local core = require("apisix.core")
local collections = require("apisix.plugins.azure-openai.request.collections")
local credentials = require("apisix.plugins.azure-openai.request.credentials")
local errors = require("apisix.plugins.azure-openai.base.errors")
local memo = require("apisix.plugins.azure-openai.base.memo")
local pause = require("apisix.plugins.azure-openai.base.pause")
local header_limits = require("apisix.plugins.azure-openai.request.header_limits")
local json_facts = require("apisix.plugins.azure-openai.request.json_facts")
local multipart = require("apisix.plugins.azure-openai.request.multipart")
local query = require("apisix.plugins.azure-openai.request.query")
local request_body = require("apisix.plugins.azure-openai.request.body")
local stream_options = require("apisix.plugins.azure-openai.request.stream_options")
local surface = require("apisix.plugins.azure-openai.request.surface")
local surfaces = require("apisix.plugins.azure-openai.base.surfaces")
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local ngx = ngx
local ipairs = ipairs
local pairs = pairs
local setmetatable = setmetatable
local type = type
local math_huge = math.huge
local math_min = math.min
local table_insert = table.insert
local has_prefix = core.string.has_prefix

-- Azure's names are shorter. Longer ones would only fill the memory that is kept for each deployment.
local LONGEST_NAME_BYTES = 128

-- Real ids are much shorter.
local LONGEST_ID_BYTES = 512

-- Real media types are shorter.
local LONGEST_SHOWN_TYPE = 64

-- Methods to whose body HTTP gives no meaning (RFC 9110, section 9.3).
local WITHOUT_BODY = { GET = true, HEAD = true, DELETE = true, OPTIONS = true }

local NOT_PLAIN = "The request path is not in its plain form: it must begin with /openai/, /anthropic/v1/ or /models/ "
    .. "and have no empty, '.' or '..' segments, no '/' at its end, no backslash, no encoded '/', '.' or backslash, "
    .. "and nothing but letters, digits, '_', '.', ':' and '-' in the words that name an operation."

local _M = {}

local function content_type(ctx)
    local value = core.request.header(ctx, "content-type")
    -- A body without a type counts as JSON: that is what users of the SDKs and of curl mean.
    return type(value) == "string" and value:lower() or "application/json"
end

-- Backends read these, too: "text/json", "application/problem+json".
local function is_json(ctx)
    local media_type = content_type(ctx)
    return has_prefix(media_type, "application/json")
        or media_type:match("^[^;]*"):find("[/+]json%s*$") ~= nil
end

local function read_json(ctx, body)
    if not body or not is_json(ctx) then
        return nil
    end
    return json_facts.read(request_body.pieces(body), pause)
end

-- What a form names: { deployment ("" for none), deployment_place, ambiguous }, or nil and the fault. Files to be
-- stored name no deployment and can be large.
local function named_in_form(ctx, body, operation)
    if not body or collections.is_homed(operation) then
        return { deployment = "" }
    end
    local type_with_boundary = core.request.header(ctx, "content-type")
    local places, _, has_file = multipart.locate(body, type_with_boundary, "model", pause)
    if #places > 1 then
        return nil, "The form has the field 'model' more than once."
    end
    local place = places[1]
    -- One byte more than the longest name is enough to see that it is too long.
    local length = place and math_min(place.length, LONGEST_NAME_BYTES + 1)
    return {
        deployment = place and request_body.slice(body, place.offset, length) or "",
        deployment_place = place,
        ambiguous = has_file and "model" or nil,
    }
end

-- The ids of stored resources that a form refers to; nil when it cannot be read. Only a file for a container can be
-- given by its id.
local function references_in_form(ctx, body, operation)
    if not body or not operation:lower():find("^containers/[^/]+/files$") then
        return {}
    end
    local places, is_plain =
        multipart.locate(body, core.request.header(ctx, "content-type"), "file_id", pause)
    local ids = {}
    for index, place in ipairs(places) do
        ids[index] = request_body.slice(body, place.offset, math_min(place.length, LONGEST_ID_BYTES))
    end
    return is_plain and ids or nil
end

-- The references outside of JSON, and whether the gateway could not read what the body refers to.
local function read_references(ctx, body, operation, facts)
    if facts or not body or body.size == 0 or WITHOUT_BODY[ngx.req.get_method()] then
        return {}, false
    end
    if not has_prefix(content_type(ctx), "multipart/form-data") then
        return {}, true
    end
    local ids = references_in_form(ctx, body, operation)
    return ids or {}, not ids
end

local function named_in_json(operation, facts)
    -- Fine-tuning names the model to train, which need not be deployed.
    local model = collections.kind(operation) ~= "/fine_tuning" and facts.members.model
    return {
        deployment = model and model.kind == "string" and model.value or "",
        deployment_place = model or nil,
        ambiguous = facts.ambiguous,
    }
end

-- What a request names where its path names no deployment: as for `named_in_form`.
local function named(ctx, target, operation, body, facts)
    if websocket.is_realtime(operation) then
        local name, fault = websocket.deployment(target)
        return not fault and { deployment = name or "" } or nil, fault
    end
    if facts and not WITHOUT_BODY[ngx.req.get_method()] then
        return named_in_json(operation, facts)
    end
    if has_prefix(content_type(ctx), "multipart/form-data") and not WITHOUT_BODY[ngx.req.get_method()] then
        return named_in_form(ctx, body, operation)
    end
    return { deployment = "" }
end

-- Bytes that a request line or a header value may not hold (RFC 3986, RFC 9110). nginx lets some of them through, and
-- every backend would refuse them. That is the client's fault, so it must not count against a backend.
local NOT_IN_TARGET = "[%z\1-\32#<>`]"
local NOT_IN_VALUE = "[%z\1-\8\10-\31\127]"

-- Headers that may hold a key beside those of `credentials`: browsers send it as a subprotocol.
local HOLDS_KEYS = { cookie = true, ["proxy-authorization"] = true, ["sec-websocket-protocol"] = true }

local function is_malformed_line(line)
    return line:find(NOT_IN_VALUE) ~= nil
end
local is_malformed_known_line = memo.of(is_malformed_line)

local function is_value_malformed(name, value)
    -- Nothing remembers a key.
    local may_hold_key = HOLDS_KEYS[name] or credentials.is_credential(name)
    local check = may_hold_key and is_malformed_line or is_malformed_known_line
    if type(value) == "string" then
        return check(value)
    end
    for _, line in ipairs(type(value) == "table" and value or {}) do
        if type(line) == "string" and check(line) then
            return true
        end
    end
    return false
end

local function is_malformed(target, headers)
    if target:find(NOT_IN_TARGET) then
        return true
    end
    for name, value in pairs(headers) do
        if is_value_malformed(name, value) then
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

-- What the request line and the headers already rule out; nil when nothing does.
local function head_fault(target, headers)
    if is_malformed(target, headers) then
        return "The request has characters in its path or headers that HTTP does not allow."
    end
    if type(headers["content-type"]) == "table" then
        return "The request has more than one Content-Type."
    end
    return not surface.is_plain(target) and NOT_PLAIN or nil
end

--- Reads the path and the query, without the prefix of a test route: nothing behind this sees it.
-- @param ctx table request context; its `uri` becomes the path without the prefix
-- @param prefix string|nil of the route
-- @return string path and query as the client sent them
function _M.target(ctx, prefix)
    if prefix then
        ctx.var.uri = surface.without_prefix(ctx.var.uri, prefix)
    end
    -- Not `ctx.var`: APISIX has normalised its request_uri.
    return surface.without_prefix(surface.without_leading_slashes(ngx.var.request_uri), prefix)
end

--- Reads a request of any kind.
-- @param target string from `target`
-- @param max_bytes number largest body
-- @return Request|nil
-- @return table|nil refusal { status, message, code (nil for the usual one) }
function _M.read(ctx, target, max_bytes)
    local headers = core.request.headers(ctx)
    if header_limits.are_exceeded_by(headers) then
        return refused(431, "The header of the request is too large.")
    end
    local fault = head_fault(target, headers)
    if fault then
        return refused(400, fault)
    end
    local body, status, err = request_body.read(max_bytes)
    if status then
        return refused(status, err)
    end
    local facts, json_fault = read_json(ctx, body)
    if json_fault and json_fault.is_too_much then
        return refused(400, "The request body is too complex. " .. json_fault.message)
    end

    local kind, operation, deployment = surface.parse(ctx.var.uri)
    if not surface.has_plain_words(operation) then
        return refused(400, NOT_PLAIN)
    end
    -- A key in the query is not accepted, because queries end up in logs. A backend would take it for the credential.
    target = query.without_credentials(target)
    local naming = { deployment = deployment }
    if not deployment then
        naming, fault = named(ctx, target, operation, body, facts)
        if fault then
            return refused(400, fault)
        end
    end
    if not is_deployment_name(naming.deployment) then
        return refused(404, "No deployment has such a name.", errors.DEPLOYMENT_NOT_FOUND)
    end
    local method = ngx.req.get_method()
    local form_references, is_unread = read_references(ctx, body, operation, facts)
    return {
        method = method,
        is_bodyless = WITHOUT_BODY[method] == true,
        target = target,
        headers = headers,
        surface = surfaces.of_path(ctx.var.uri),
        kind = kind,
        operation = operation,
        deployment = naming.deployment,
        deployment_place = naming.deployment_place,
        ambiguous = facts and facts.ambiguous or naming.ambiguous,
        resource = collections.kind(operation),
        body = body,
        facts = facts,
        form_references = form_references,
        is_unread = is_unread,
        json_fault = json_fault and json_fault.message,
        has_other_type = body ~= nil and not is_json(ctx),
        is_upgrade = websocket.is_requested(ctx),
    }
end

-- A body of another type than JSON is not read. `curl -d` sends JSON as a form, unless it is told the type.
local function type_fault(request)
    local media_type = request.headers["content-type"]:lower():match("^%s*([%w.+-]+/[%w.+-]+)") or ""
    local shown = #media_type > 0 and #media_type <= LONGEST_SHOWN_TYPE and "is " .. media_type
        or "is another"
    return "The request body has to be JSON with Content-Type: application/json; its Content-Type "
        .. shown
        .. "."
end

--- Why a request cannot be an inference request; nil when it can.
-- @return string|nil message
function _M.inference_fault(request)
    if request.has_other_type then
        return type_fault(request)
    end
    if request.json_fault then
        return "The request body is not JSON. " .. request.json_fault
    end
    if not request.facts then
        return "The request body is not a JSON object."
    end
    local model = request.facts.members.model
    if model and model.kind ~= "string" and model.kind ~= "null" then
        return "The member 'model' is not a string."
    end
    return nil
end

-- The request with the body that AI plugins have made of it meanwhile.
local function read_again(ctx, request)
    local body = request_body.read(math_huge)
    local facts = read_json(ctx, body)
    if not facts then
        return request
    end
    local changed = { body = body, facts = facts, deployment_place = facts.members.model or false }
    return setmetatable(changed, { __index = request })
end

--- The request as it goes to backends: with the body that AI plugins made of it, and asked for token usage where the
--- stream would not report it.
-- @param is_changed boolean whether AI plugins may have changed the body
-- @return table request, the same one when nothing changes; `hides_usage` tells that the client must not see the usage
--   chunk, and `as_sent` is the request with the client's own bytes
function _M.to_send(ctx, request, is_changed)
    if is_changed then
        request = read_again(ctx, request)
    end
    local edit = stream_options.edit(ctx, request)
    if not edit then
        return request
    end
    return setmetatable({ edit = edit, hides_usage = true, as_sent = request }, { __index = request })
end

-- The body with its own edit, if it has one, and with another name of the deployment, if one is given.
local function edited_body(request, name)
    local edits, place = { request.edit }, request.deployment_place
    if name and place then
        local text = request.facts and core.json.encode(name) or name
        local is_first = request.edit and place.offset < request.edit.offset
        table_insert(edits, is_first and 1 or #edits + 1, {
            offset = place.offset,
            length = place.length,
            text = text,
        })
    end
    return #edits > 0 and request_body.with_edits(request.body, edits) or request.body
end

--- What a backend that calls the deployment `name` gets.
-- @param name string
-- @return string path with query
-- @return table|nil body
function _M.for_deployment(request, name)
    if request.deployment == "" or name == request.deployment then
        return request.target, edited_body(request)
    end
    if request.kind == "deployments" then
        return surface.rename(request.target, name), edited_body(request)
    end
    if websocket.is_realtime(request.operation) then
        return websocket.rename(request.target, name), edited_body(request)
    end
    return request.target, edited_body(request, name)
end

return _M
