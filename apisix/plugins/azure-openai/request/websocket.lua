--- The WebSocket handshake: recognises it, finds the client's key, and builds the backend's one.
--
-- Browsers cannot set headers on a WebSocket, so the OpenAI SDK for JavaScript sends the key as a subprotocol
-- (openai-node, src/realtime/websocket.ts).
local core = require("apisix.core")
local query = require("apisix.plugins.azure-openai.request.query")
local surface = require("apisix.plugins.azure-openai.request.surface")

local ngx = ngx
local ipairs = ipairs
local type = type
local has_prefix = core.string.has_prefix
local table_concat = table.concat

local OPERATION = "realtime"
local KEY_SUBPROTOCOL = "openai-insecure-api-key."
-- Where the SDKs name the deployment: the preview path, then v1.
local DEPLOYMENT_ARGUMENTS = { "deployment", "model" }
-- Not `sec-websocket-extensions`: the only one in use compresses, and the gateway reads the backend's events for their
-- token usage.
local HANDSHAKE_HEADERS = { "sec-websocket-key", "sec-websocket-version" }

local _M = {}

local function header_text(headers, name)
    local value = headers[name]
    if type(value) == "table" then
        return table_concat(value, ",")
    end
    return value or ""
end

local function subprotocols(headers)
    return header_text(headers, "sec-websocket-protocol"):gmatch("[^%s,]+")
end

--- Whether an operation is a realtime session, which names its deployment in the query.
function _M.is_realtime(operation)
    return operation == OPERATION
end

--- Whether the current request asks for a WebSocket.
-- @return boolean
function _M.is_requested(ctx)
    local headers = core.request.headers(ctx)
    if not headers["upgrade"] then
        return false
    end
    -- "h2c", for example, may be ignored.
    local is_offered = ("," .. header_text(headers, "upgrade"):lower() .. ","):find("[,%s]websocket[,%s]")
    return is_offered ~= nil and ngx.req.get_method() == "GET" and ngx.req.http_version() == 1.1
end

--- Whether a request asks for a WebSocket where plain HTTP would do. Coding agents try that on `responses`, and go on
--- with HTTP when the answer is 426.
-- @param request Request
-- @return boolean
function _M.is_optional(request)
    return request.is_upgrade and not _M.is_realtime(request.operation)
end

--- The keys of a browser's handshake on a realtime path: "realtime, openai-insecure-api-key.K" -> { "K" }.
-- @return table list of strings, empty for any other request
function _M.client_keys(ctx)
    local keys = {}
    local _, operation = surface.parse(ctx.var.uri)
    if not _M.is_realtime(operation) or not _M.is_requested(ctx) then
        return keys
    end
    for name in subprotocols(core.request.headers(ctx)) do
        if has_prefix(name, KEY_SUBPROTOCOL) then
            keys[#keys + 1] = name:sub(#KEY_SUBPROTOCOL + 1)
        end
    end
    return keys
end

--- The deployment that the target of a realtime session names.
-- @return string|nil
-- @return string|nil fault when it names several
function _M.deployment(target)
    local found
    for _, name in ipairs(DEPLOYMENT_ARGUMENTS) do
        for _, value in ipairs(query.values(target, name)) do
            if found and value ~= found then
                return nil, "The query names more than one deployment."
            end
            found = value
        end
    end
    return found
end

--- The target with another deployment.
function _M.rename(target, deployment)
    for _, name in ipairs(DEPLOYMENT_ARGUMENTS) do
        target = query.replace(target, name, deployment)
    end
    return target
end

--- Adds the handshake to the headers of a request to a backend, less the client's key.
-- @param headers table changed in place
-- @param client_headers table
function _M.add_handshake(headers, client_headers)
    headers["connection"] = "Upgrade"
    headers["upgrade"] = "websocket"
    for _, name in ipairs(HANDSHAKE_HEADERS) do
        headers[name] = client_headers[name]
    end
    local offered = {}
    for name in subprotocols(client_headers) do
        if not has_prefix(name, KEY_SUBPROTOCOL) then
            offered[#offered + 1] = name
        end
    end
    headers["sec-websocket-protocol"] = #offered > 0 and table_concat(offered, ", ") or nil
end

return _M
