--- Managed-identity tokens by the Container Apps / App Service protocol.
--
-- Source: "How to use managed identities for App Service", REST endpoint reference, api-version 2019-08-01.
-- Tokens are shared by the workers, refreshed in the background before they expire, one refresh at a time.
local core = require("apisix.core")
local http = require("resty.http")

local ngx = ngx
local ngx_now = ngx.now
local tonumber = tonumber
local type = type
local math_min = math.min
local os_getenv = os.getenv

local dict = ngx.shared["azure-openai-identity"]

local API_VERSION = "2019-08-01"
local REQUEST_TIMEOUT_MS = 5000
-- Refresh this long before the end; Azure itself hands out a new token only in a token's last minutes.
local REFRESH_AHEAD_SECONDS = 300
-- A token this close to its end, or in the last tenth of a short life, may expire on the way.
local UNUSABLE_SECONDS = 10
local RETRY_REFRESH_SECONDS = 15
local POLL_SECONDS = 0.02

-- Read when the module loads: nginx hands the environment to the master process only.
local ENDPOINT = os_getenv("IDENTITY_ENDPOINT")
local SECRET = os_getenv("IDENTITY_HEADER")

local _M = {}

local function resource_of(scope)
    return (scope:gsub("/%.default$", ""))
end

-- One GET on a connection of its own: tokens are fetched once an hour or so.
local function get(url, query)
    local scheme, host, port, path = url:match("^(https?)://([^:/]+):?(%d*)(.*)$")
    if not scheme then
        return nil, "IDENTITY_ENDPOINT is not a URL"
    end

    local client = http.new()
    client:set_timeouts(REQUEST_TIMEOUT_MS, REQUEST_TIMEOUT_MS, REQUEST_TIMEOUT_MS)
    local ok, err = client:connect({
        scheme = scheme,
        host = host,
        port = tonumber(port) or (scheme == "https" and 443 or 80),
    })
    if not ok then
        return nil, err
    end

    local res, body
    res, err = client:request({
        method = "GET",
        path = path == "" and "/" or path,
        query = query,
        headers = { ["X-IDENTITY-HEADER"] = SECRET },
    })
    if res then
        body, err = res:read_body()
    end
    client:close()
    if not body then
        return nil, err
    end
    return { status = res.status, body = body }
end

local function request_token(backend, scope)
    if not ENDPOINT or not SECRET then
        return nil, "no managed identity here: IDENTITY_ENDPOINT and IDENTITY_HEADER are not set"
    end

    local res, err = get(ENDPOINT, {
        ["api-version"] = API_VERSION,
        resource = resource_of(scope),
        client_id = backend.client_id,
    })
    if not res then
        return nil, "the identity endpoint did not answer: " .. err
    end
    if res.status ~= 200 then
        return nil, "the identity endpoint answered " .. res.status
    end

    local answer = core.json.decode(res.body)
    local expires_on = answer and tonumber(answer.expires_on)
    if not expires_on or type(answer.access_token) ~= "string" then
        return nil, "the identity endpoint's answer has no access_token or expires_on"
    end
    return answer.access_token, nil, expires_on
end

local function refresh(backend, scope, entry)
    local token, err, expires_on = request_token(backend, scope)
    local seconds = token and expires_on - ngx_now() or 0
    if seconds > 0 then
        local usable_seconds = seconds - math_min(UNUSABLE_SECONDS, seconds / 10)
        dict:set("token|" .. entry, token, usable_seconds)
        dict:set(
            "refresh|" .. entry,
            expires_on - math_min(REFRESH_AHEAD_SECONDS, seconds / 2),
            usable_seconds
        )
    end
    return token, err
end

-- Runs `refresh` unless another request does. The lock expires after the longest possible request.
local function refresh_once(backend, scope, entry)
    local lock = "refreshing|" .. entry
    if not dict:add(lock, true, REQUEST_TIMEOUT_MS / 1000 * 3) then
        return nil, "busy"
    end
    local token, err = refresh(backend, scope, entry)
    dict:delete(lock)
    return token, err
end

local function refresh_in_background(premature, backend, scope, entry)
    if premature then
        return
    end
    local token, err = refresh_once(backend, scope, entry)
    if not token and err ~= "busy" then
        -- The present token is still good, so the endpoint is not asked again by each request.
        dict:set("refresh|" .. entry, ngx_now() + RETRY_REFRESH_SECONDS, RETRY_REFRESH_SECONDS)
        core.log.warn(
            "azure-openai: cannot refresh the managed-identity token of backend '",
            backend.name,
            "': ",
            err
        )
    end
end

--- A valid bearer token for a backend.
-- @param backend table with client_id for a user-assigned identity
-- @param scope string
-- @return string|nil token
-- @return string|nil error
function _M.token(backend, scope)
    local entry = (backend.client_id or "") .. "|" .. scope
    local token = dict:get("token|" .. entry)
    if token then
        if ngx_now() >= (dict:get("refresh|" .. entry) or 0) and not dict:get("refreshing|" .. entry) then
            ngx.timer.at(0, refresh_in_background, backend, scope, entry)
        end
        return token
    end

    local deadline = ngx_now() + REQUEST_TIMEOUT_MS / 1000
    local err
    repeat
        token, err = refresh_once(backend, scope, entry)
        if err ~= "busy" then
            return token, err
        end
        ngx.sleep(POLL_SECONDS)
        token = dict:get("token|" .. entry)
    until token or ngx_now() >= deadline
    return token, not token and "the identity endpoint is slow" or nil
end

return _M
