--- Asks an endpoint for a token: one request on a connection of its own, because that happens once an hour or so.
local core = require("apisix.core")
local connection_module = require("apisix.plugins.azure-openai.attempt.connection")
local http_exchange = require("apisix.plugins.azure-openai.attempt.http_exchange")
local plain_text = require("apisix.plugins.azure-openai.base.plain_text")
local request_body = require("apisix.plugins.azure-openai.request.body")

local ngx = ngx
local ngx_now = ngx.now
local tonumber = tonumber
local type = type

local DEFAULT_PORTS = { http = 80, https = 443 }
local CONNECT_TIMEOUT_MS = 5000
local ANSWER_TIMEOUT_MS = 5000
local MOST_REASON_BYTES = 300
-- A token has some two kilobytes.
local LARGEST_ANSWER_BYTES = 1024 * 1024

local _M = {}

--- The longest time that a request may take.
_M.LONGEST_SECONDS = (CONNECT_TIMEOUT_MS + 2 * ANSWER_TIMEOUT_MS) / 1000

--- Takes a URL apart: "http://host:42356/msi/token" is { scheme = "http", host = "host", port = 42356,
-- path = "/msi/token" }.
-- @return table|nil
function _M.endpoint(url)
    local scheme, host, port, path = url:match("^(https?)://([^:/?#]+):?(%d*)([^?#]*)$")
    if not scheme then
        return nil
    end
    return {
        scheme = scheme,
        host = host,
        port = tonumber(port) or DEFAULT_PORTS[scheme],
        path = path == "" and "/" or path,
    }
end

--- The query of both protocols of managed identities.
-- @param api_version string
-- @param scope string as Entra ID has it, for example "https://cognitiveservices.azure.com/.default"
-- @param client_id string|nil of a user-assigned identity
-- @return table
function _M.query(api_version, scope, client_id)
    return {
        ["api-version"] = api_version,
        -- These protocols have resources, which are scopes without the end.
        resource = (scope:gsub("/%.default$", "")),
        client_id = client_id,
    }
end

-- What an endpoint says about its refusal: Entra ID and virtual machines in `error_description`, Container Apps in
-- `message`. The first line, because Entra ID adds others for its support; and never anything that looks like a token.
local function reason_in(answer)
    local text = type(answer) == "table" and (answer.error_description or answer.message)
    if type(text) ~= "string" then
        return ""
    end
    local line = text:match("^%s*([^\r\n]*)"):gsub("eyJ[%w_%-%.]+", "(a token)"):gsub("%c", " ")
    return ": " .. plain_text.ascii(line:sub(1, MOST_REASON_BYTES))
end

local function exchange(endpoint, message)
    local connection, err = connection_module.open(endpoint, {
        ssl_verify = true,
        connect_timeout_ms = message.connect_timeout_ms or CONNECT_TIMEOUT_MS,
        timeout_ms = ANSWER_TIMEOUT_MS,
        is_unpooled = true,
    })
    if not connection then
        return nil, err
    end
    local query = message.query and "?" .. ngx.encode_args(message.query) or ""
    local response, body
    response, err = http_exchange.exchange(connection, endpoint, {
        method = message.method or "GET",
        target = endpoint.path .. query,
        headers = message.headers or {},
        body = message.body and request_body.of_text(message.body),
    })
    if response then
        body = ""
        if response.body then
            body, err = response.body:read_whole(LARGEST_ANSWER_BYTES)
        end
    end
    connection:close()
    if not body then
        return nil, err
    end
    return response.status, body
end

--- Sends the request and reads the token from the answer.
-- @param endpoint table from `endpoint`
-- @param message table { method (GET), query, headers, body, connect_timeout_ms }
-- @return string|nil token
-- @return string|nil error that continues the name of the endpoint: "answered 400: Identity not found"
-- @return number|nil when the token expires, in seconds of the clock
function _M.send(endpoint, message)
    local status, body = exchange(endpoint, message)
    if not status then
        return nil, "did not answer: " .. (body or "unknown")
    end
    local answer = core.json.decode(body)
    if status ~= 200 then
        return nil, "answered " .. status .. reason_in(answer)
    end
    local token = type(answer) == "table" and answer.access_token
    local seconds = token and tonumber(answer.expires_in)
    local expires_on = token and tonumber(answer.expires_on) or seconds and ngx_now() + seconds
    if type(token) ~= "string" or not expires_on then
        return nil, "gave an answer without access_token, or without expires_on and expires_in"
    end
    return token, nil, expires_on
end

return _M
