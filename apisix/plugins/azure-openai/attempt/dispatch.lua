--- Sends a client's request to one backend, with the one credential that the gateway has for it.
local headers = require("apisix.plugins.azure-openai.attempt.headers")
local identity = require("apisix.plugins.azure-openai.attempt.identity")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")
local reading = require("apisix.plugins.azure-openai.request.reading")
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local _M = {}

-- Adds the backend's credential, or the ephemeral key that it has made. Returns true, or nil and an error.
local function add_credential(message_headers, backend, request)
    if request.ephemeral_key then
        message_headers["authorization"] = "Bearer " .. request.ephemeral_key.key
        return true
    end
    if backend.auth ~= "managed-identity" then
        message_headers["api-key"] = backend.key
        return true
    end

    local token, err = identity.token(backend, backend.token_scopes[request.surface.name])
    if not token then
        return nil, err
    end
    message_headers["authorization"] = "Bearer " .. token
    return true
end

--- Sends the request and waits for the head of the response.
-- @param pool table
-- @param attempt Attempt gets `target`
-- @param request table from `reading.read`
-- @return table|nil response from `upstream.send`
-- @return string|nil reason: "identity" (no token) or one of `upstream.send`
-- @return string|nil error for the log
-- @return boolean|nil as from `upstream.send`
function _M.send(pool, attempt, request)
    local message_headers = headers.to_backend(request.headers)
    -- The gateway reads bodies (usage, error codes); it could not read compressed ones.
    message_headers["accept-encoding"] = nil
    local ok, err = add_credential(message_headers, attempt.backend, request)
    if not ok then
        return nil, "identity", err
    end
    if request.is_upgrade then
        websocket.add_handshake(message_headers, request.headers)
    end

    local target, body = reading.for_deployment(request, attempt.deployment)
    attempt.target = target
    return upstream.send(pool, attempt, {
        method = request.method,
        target = target,
        headers = message_headers,
        body = body,
    })
end

--- Asks a backend something for the gateway itself, and reads the answer whole.
-- @param request table { method, target, headers, deployment = "" } without a body
-- @param limit_bytes number
-- @return number|nil status; nil when the backend could not be asked
-- @return string|nil body; nil when it is missing, too large or cut short
function _M.fetch(pool, backend, deployment, request, limit_bytes)
    local attempt = { backend = backend, deployment = deployment }
    local response, _, _, is_stale = _M.send(pool, attempt, request)
    if is_stale then
        attempt.is_repeat = true
        response = _M.send(pool, attempt, request)
    end
    if not response then
        return nil
    end
    local body = response.body and response.body:read_whole(limit_bytes)
    if body then
        upstream.release(response)
    else
        upstream.close(response)
    end
    return response.status, body
end

return _M
