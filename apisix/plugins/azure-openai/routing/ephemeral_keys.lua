--- Keys for a few minutes that a backend makes for a browser (A8): to whom each was handed out, and by which backend.
--
-- A client can have any number made, so each has a number of its own: nobody's keys push out those of another.
--
-- Only digests are kept, in the memory of this replica and, when it is configured, in Redis. The backend itself decides
-- whether a key is still good.
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")
local surface = require("apisix.plugins.azure-openai.request.surface")
local resty_sha256 = require("resty.sha256")

local ngx = ngx
local ipairs = ipairs
local tonumber = tonumber
local tostring = tostring
local type = type
local math_floor = math.floor
local math_min = math.min

local dict = ngx.shared["azure-openai-ephemeral"]

-- Operations whose answer is, or has, such a key.
local MAKING = {
    ["realtime/client_secrets"] = true,
    ["realtime/sessions"] = true,
    ["realtime/transcription_sessions"] = true,
    ["realtimeapi/sessions"] = true,
}
-- What such a key may be used for: a session over a WebSocket, and the call that begins one over WebRTC.
local USES = { ["realtime"] = "GET", ["realtime/calls"] = "POST" }

local FORM = "^ek_[%w_-]+$"
local LONGEST_BYTES = 512
-- Azure lets them live for two hours at most.
local MOST_SECONDS = 86400
local SHARED = "ephemeral:"
-- A browser uses its key soon. About 1 MB for each client (renderer/sizing.py).
local MOST_OF_A_CLIENT = 2048
-- The list of a client's digests, the oldest first. No digest has such a sign.
local OF_CLIENT = "of|"
-- A key stays with the first to whom it was handed out. A backend that names it once more would get the sessions of
-- another one.
local SET_SCRIPT = [[
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2], 'NX')
return redis.call('GET', KEYS[1])
]]

--- To whom a key was handed out.
---@class EphemeralKey
---@field key string
---@field backend string name of the one that made it
---@field client string name; "" where nobody signs in

local _M = {}

local function digest_of(key)
    local sha256 = resty_sha256:new()
    sha256:update(key)
    return ngx.encode_base64(sha256:final())
end

-- { "eastus", "team-a" } <-> "eastus|team-a"; a backend's name has no such sign.
local function decode(key, text)
    local backend, client = tostring(text):match("^([^|]+)|(.*)$")
    return backend and { key = key, backend = backend, client = client } or nil
end

-- The key and when it ends, as the general and the preview surface say it.
local function key_in(body)
    local answer = bounded_json.decode(body)
    local holder = type(answer) == "table" and (answer.client_secret or answer)
    local key = type(holder) == "table" and holder.value
    if type(key) ~= "string" or #key > LONGEST_BYTES or not key:find(FORM) then
        return nil
    end
    return key, tonumber(holder.expires_at)
end

-- Notes a key in this replica, and forgets the client's oldest when it has too many.
local function note_here(digest, text, client, seconds)
    if not dict:add(digest, text, seconds) then
        return
    end
    local list = OF_CLIENT .. client
    local count = dict:rpush(list, digest)
    local oldest = count and count > MOST_OF_A_CLIENT and dict:lpop(list)
    if oldest then
        dict:delete(oldest)
    end
end

--- Notes the key that an answer hands out. Returns when Redis knows it, too.
-- @param request Request
-- @param answer Answer of a backend
-- @param client table|nil the client's configuration
function _M.learn(request, answer, client)
    if
        not MAKING[request.operation]
        or request.method ~= "POST"
        or answer.status >= 300
        or not answer.body
    then
        return
    end
    local key, expires_at = key_in(answer.body)
    local seconds = math_floor(math_min((expires_at or 0) - ngx.time(), MOST_SECONDS))
    if not key or seconds <= 0 then
        return
    end
    local name = client and client.name or ""
    local digest, text = digest_of(key), answer.backend.name .. "|" .. name
    note_here(digest, text, name, seconds)
    local first = shared_state.is_configured()
        and shared_state.eval(SET_SCRIPT, SHARED .. digest, text, seconds)
    if type(first) == "string" and first ~= text then
        dict:set(digest, first, seconds)
    end
end

local function find(key)
    local digest = digest_of(key)
    local text = dict:get(digest)
    if not text and shared_state.is_configured() then
        text = (shared_state.get_all({ SHARED .. digest }) or {})[1]
    end
    return text and text ~= ngx.null and decode(key, text) or nil
end

--- Finds an ephemeral key among those that a request brings.
-- @param keys string[]
-- @param method string
-- @param uri string
-- @return EphemeralKey|nil nil also when the request is none that such keys are for
function _M.among(keys, method, uri)
    local _, operation = surface.parse(uri)
    if USES[operation] ~= method then
        return nil
    end
    for _, key in ipairs(keys) do
        if #key <= LONGEST_BYTES and key:find(FORM) then
            -- One look for each request: anybody can invent keys.
            return find(key)
        end
    end
    return nil
end

return _M
