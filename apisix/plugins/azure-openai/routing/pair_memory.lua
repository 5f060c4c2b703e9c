--- What the gateway remembers of pairs of backend and deployment, in two dictionaries that all workers share.
--
-- What concerns a deployment for one operation only is kept under the name that `scope` makes of both.
--
-- A deployment is real when it is configured or has served a request; kinds of stored resources and whole backends are
-- real, too. Any other name may be a client's invention. What is remembered of it is kept apart and for a short time,
-- so that inventions push out nothing but one another.
local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local math_min = math.min

local REAL = ngx.shared["azure-openai-availability"]
local INVENTED = ngx.shared["azure-openai-unproven"]

-- A table, so it can never equal a deployment name.
local EVERY = {}
-- The longest time for which a deployment counts as missing.
local INVENTED_SECONDS = 300

local KINDS = {
    "rests",
    "rest",
    "from",
    "large",
    "large-from",
    "first",
    "gone",
    "missing",
    "breaker",
    "trial",
    "failures",
    "openings",
    "override",
    "quota",
    "left-requests",
    "left-tokens",
    "most-requests",
    "most-tokens",
    "lately",
    "no-usage",
    "no-usage-of-data",
}

local _M = {
    --- Stands for all deployments of a backend.
    EVERY = EVERY,
}

--- The name under which the use of a deployment for one operation is kept.
-- @param deployment string
-- @param operation string from `operations.name`
-- @return string no name of a deployment has a control character
function _M.scope(deployment, operation)
    return deployment .. "\1" .. operation
end

--- The deployment of a name that `scope` has made, or of one that is a deployment itself.
-- @return string
function _M.deployment_of(scope)
    return (scope:match("^[^\1]*"))
end

local function key(kind, backend, deployment)
    if deployment == EVERY then
        -- With another address or key a backend starts afresh.
        return kind .. "-all|" .. backend.name .. "|" .. backend.fingerprint
    end
    return kind .. "|" .. backend.name .. "|" .. deployment
end

-- Of names that differ in case only, the first to serve is the real one. A client could invent thousands of others.
local function served_key(deployment)
    return "served|" .. deployment:lower()
end

-- Each request asks dozens of times whether its deployment is real, so a worker believes for a second what it has read.
local BELIEVED_SECONDS, MOST_BELIEVED = 1, 500
local believed_until, believed_count = {}, 0

local function has_served(name)
    local now, known_until = ngx_now(), believed_until[name]
    if known_until and known_until > now and known_until <= now + BELIEVED_SECONDS then
        return true
    end
    if REAL:get(served_key(name)) ~= name then
        return false
    end
    if not known_until then
        if believed_count == MOST_BELIEVED then
            believed_until, believed_count = {}, 0
        end
        believed_count = believed_count + 1
    end
    believed_until[name] = now + BELIEVED_SECONDS
    return true
end

--- Whether a deployment is no client's invention.
-- @param deployment string|table the backend's name for it, or EVERY
-- @return boolean
local function is_real(backend, deployment)
    if deployment == EVERY or deployment:byte(1) == 47 then
        return true
    end
    local name = _M.deployment_of(deployment)
    return (backend.own_names and backend.own_names[name]) or has_served(name)
end
_M.is_real = is_real

-- Where a pair is remembered, and for how many seconds at most.
local function place(backend, deployment, seconds)
    if is_real(backend, deployment) then
        return REAL, seconds
    end
    return INVENTED, seconds and math_min(seconds, INVENTED_SECONDS)
end

--- Reads a value of a pair.
-- @param kind string one of KINDS, and of whole backends "slow", "worked" and "region"
-- @param deployment string|table the backend's name for it, or EVERY
-- @return any value, nil when there is none
-- @return number|nil flags
function _M.get(kind, backend, deployment)
    return (place(backend, deployment)):get(key(kind, backend, deployment))
end

--- Writes a value of a pair.
-- @param seconds number until it is forgotten
function _M.set(kind, backend, deployment, value, seconds, flags)
    local dict, most_seconds = place(backend, deployment, seconds)
    dict:set(key(kind, backend, deployment), value, most_seconds, flags)
end

--- Writes a value of a pair that has none.
-- @return boolean whether it had none
function _M.add(kind, backend, deployment, value, seconds, flags)
    local dict, most_seconds = place(backend, deployment, seconds)
    return dict:add(key(kind, backend, deployment), value, most_seconds, flags) == true
end

--- Adds to a number of a pair.
-- @param change number
-- @param seconds number|nil until it is forgotten; nil when only a number that is there shall change
-- @return number|nil the sum, nil when there is none or no memory for it
function _M.add_to(kind, backend, deployment, change, seconds)
    local dict, most_seconds = place(backend, deployment, seconds)
    local name = key(kind, backend, deployment)
    if not seconds then
        return (dict:incr(name, change))
    end
    return (dict:incr(name, change, 0, most_seconds))
end

--- Forgets a value of a pair.
function _M.delete(kind, backend, deployment)
    (place(backend, deployment)):delete(key(kind, backend, deployment))
end

local function move(backend, scope)
    for _, kind in ipairs(KINDS) do
        local name = key(kind, backend, scope)
        local value, flags = INVENTED:get(name)
        if value ~= nil then
            REAL:set(name, value, INVENTED:ttl(name), flags)
            INVENTED:delete(name)
        end
    end
end

--- Notes that a deployment has served a request, so it is real on every backend.
-- @param backends table list of the pool's
-- @param deployment string
-- @param operation string for which it served; for others, what was remembered is learned anew
function _M.note_served(backends, deployment, operation)
    if not has_served(deployment) and REAL:add(served_key(deployment), deployment) then
        for _, backend in ipairs(backends) do
            move(backend, deployment)
            move(backend, _M.scope(deployment, operation))
        end
    end
end

return _M
