--- What attempts have shown lately: who was served where, who met which failure, which requests have counted already.
--
-- A client decides what it sends, so it could fill any memory. Each client has a fixed number of slots of its own, and
-- each backend has a fixed number for failures.
local core = require("apisix.core")
local lrucache = require("resty.lrucache")
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")

local ngx = ngx
local ngx_now = ngx.now
local ngx_crc32 = ngx.crc32_long
local has_prefix = core.string.has_prefix

local EVERY = memory.EVERY

local dict = ngx.shared["azure-openai-sightings"]

-- For so long a failure that all candidates share is thought to come from its request.
local SECONDS = 10
-- A success is noted once a second in each worker, so a note may be this much older than the last success.
local NOTE_EVERY_SECONDS = 1
-- A credential that has worked once is remembered for a month.
local CREDENTIAL_SECONDS = 30 * 86400
local REQUESTS_PER_CLIENT = 64
local FAILURES_PER_BACKEND = 256

-- When this worker has noted successes. A healthy request costs no write to the dictionary but once a second.
local noted = lrucache.new(1000)

local _M = {}

-- What a worker has noted in the future, it has noted before the clock was set back.
local function is_noted(key, value, now)
    local note = noted:get(key)
    local age = note and note.value == value and now - note.at
    return age and age >= 0 and age < NOTE_EVERY_SECONDS
end

local function note(kind, backend, scope, value, seconds)
    local key = kind .. "|" .. backend.name .. "|" .. (scope == EVERY and "" or scope)
    local now = ngx_now()
    if not is_noted(key, value, now) then
        noted:set(key, { value = value, at = now })
        memory.set(kind, backend, scope, value, seconds)
    end
end

--- A pair has served a request.
-- @param scope string deployment, or deployment with operation (`pair_memory.scope`)
function _M.served(backend, scope)
    note("lately", backend, scope, true, SECONDS + NOTE_EVERY_SECONDS)
end

--- Whether a pair has served anybody in the last 10 s.
-- @return boolean
function _M.has_served(backend, scope)
    return memory.get("lately", backend, scope) == true
end

--- A backend has taken the gateway's credential for an operation.
-- @param operation string from `operations.name`
function _M.credential_worked(backend, operation)
    note("worked", backend, EVERY, operation, CREDENTIAL_SECONDS)
end

--- The operation for which a backend last took the credential.
-- @return string|nil nil when it has taken it for none
function _M.last_operation(backend)
    return (memory.get("worked", backend, EVERY))
end

--- Notes a failure that a client has met, and tells whether another client has met the same in the last 10 s.
-- @param client string name
-- @param signature string status and code
-- @return boolean
function _M.is_met_by_others(client, backend, scope, signature)
    local hash = ngx_crc32(scope .. "|" .. signature)
    local key = "met|" .. backend.name .. "|" .. hash % FAILURES_PER_BACKEND
    local seen, own = dict:get(key), hash .. "|" .. client
    dict:set(key, own, SECONDS)
    return seen ~= nil and seen ~= own and has_prefix(seen, hash .. "|")
end

-- The entry of a request, and what it holds then.
local function request_entry(client, backend, digest)
    local value = backend.name .. "|" .. digest
    return "counted|" .. ngx_crc32(value) % REQUESTS_PER_CLIENT .. "|" .. client, value
end

--- Whether the same request of a client has counted against a backend in the last 10 s.
-- @param digest number 32 bits
-- @return boolean
function _M.has_counted(client, backend, digest)
    local entry, value = request_entry(client, backend, digest)
    return dict:get(entry) == value
end

--- A request counts against a backend.
function _M.count(client, backend, digest)
    local entry, value = request_entry(client, backend, digest)
    dict:set(entry, value, SECONDS)
end

return _M
