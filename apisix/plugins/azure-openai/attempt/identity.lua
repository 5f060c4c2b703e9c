--- Tokens of managed identities: shared by the workers, refreshed in the background before they expire, one refresh at
--- a time.
local core = require("apisix.core")
local environment = require("apisix.plugins.azure-openai.base.environment")
local identity_sources = require("apisix.plugins.azure-openai.attempt.identity_sources")
local token_request = require("apisix.plugins.azure-openai.attempt.token_request")

local ngx = ngx
local ngx_now = ngx.now
local math_min = math.min

local dict = ngx.shared["azure-openai-identity"]

-- A request waits so long for a token that another one asks for.
local WAIT_SECONDS = 5
-- Refresh this long before the end; Azure itself hands out a new token only in a token's last minutes.
local REFRESH_AHEAD_SECONDS = 300
-- A token this close to its end, or in the last tenth of a short life, may expire on the way.
local UNUSABLE_SECONDS = 10
local RETRY_REFRESH_SECONDS = 15
local POLL_SECONDS = 0.02

-- The identity of backends that name none.
local CLIENT_ID = environment.get("AZURE_CLIENT_ID")

local _M = {}

local function client_id_of(backend)
    return backend.client_id or CLIENT_ID
end

-- A token from where this gateway has its identity. Without a client id Azure takes the platform's own identity.
local function request_token(backend, scope)
    local source = identity_sources.chosen()
    if dict:add("source", source.NAME) then
        core.log.notice("azure-openai: tokens of managed identities come from ", source.NAME)
    end
    return source.request(scope, client_id_of(backend))
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
    if not dict:add(lock, true, token_request.LONGEST_SECONDS) then
        return nil, "busy"
    end
    dict:delete("failed|" .. entry)
    local token, err = refresh(backend, scope, entry)
    if not token then
        -- For those who wait. Otherwise each of them would ask in turn, and wait for all before it.
        dict:set("failed|" .. entry, err, WAIT_SECONDS)
    end
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
-- @param backend table with client_id, unless its identity is that of AZURE_CLIENT_ID
-- @param scope string
-- @return string|nil token
-- @return string|nil error
function _M.token(backend, scope)
    local entry = (client_id_of(backend) or "") .. "|" .. scope
    local token = dict:get("token|" .. entry)
    if token then
        if ngx_now() >= (dict:get("refresh|" .. entry) or 0) and not dict:get("refreshing|" .. entry) then
            ngx.timer.at(0, refresh_in_background, backend, scope, entry)
        end
        return token
    end

    local deadline = ngx_now() + WAIT_SECONDS
    local err
    repeat
        token, err = refresh_once(backend, scope, entry)
        if err ~= "busy" then
            return token, err
        end
        ngx.sleep(POLL_SECONDS)
        token, err = dict:get("token|" .. entry), dict:get("failed|" .. entry)
    until token or err or ngx_now() >= deadline
    return token, not token and (err or identity_sources.chosen().NAME .. " is slow") or nil
end

return _M
