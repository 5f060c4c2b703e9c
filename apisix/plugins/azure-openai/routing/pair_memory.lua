--- What the gateway remembers of pairs of backend and deployment, in two dictionaries that all workers share.
--
-- A deployment is real when it is configured or has served a request; kinds of stored resources and whole backends are
-- real, too. Any other name may be a client's invention. What is remembered of it is kept apart and for a short time,
-- so that inventions push out nothing but one another.
local ngx = ngx
local ipairs = ipairs
local math_min = math.min

local REAL = ngx.shared["azure-openai-availability"]
local INVENTED = ngx.shared["azure-openai-unproven"]

-- A table, so it can never equal a deployment name.
local EVERY = {}
-- The longest time for which a deployment counts as missing.
local INVENTED_SECONDS = 300

local KINDS = { "until", "trial", "failures", "openings", "quota", "no-usage", "no-usage-of-data" }

local _M = {
    --- Stands for all deployments of a backend.
    EVERY = EVERY,
}

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

local function is_real(backend, deployment)
    return deployment == EVERY
        or deployment:byte(1) == 47
        or (backend.own_names and backend.own_names[deployment])
        or REAL:get(served_key(deployment)) == deployment
end

-- Where a pair is remembered, and for how many seconds at most.
local function place(backend, deployment, seconds)
    if is_real(backend, deployment) then
        return REAL, seconds
    end
    return INVENTED, seconds and math_min(seconds, INVENTED_SECONDS)
end

--- Reads a value of a pair.
-- @param kind string one of KINDS
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

--- Adds 1 to a number of a pair.
-- @return number|nil the sum, nil when there is no memory for it
function _M.increment(kind, backend, deployment, seconds)
    local dict, most_seconds = place(backend, deployment, seconds)
    return (dict:incr(key(kind, backend, deployment), 1, 0, most_seconds))
end

--- Forgets a value of a pair.
function _M.delete(kind, backend, deployment)
    (place(backend, deployment)):delete(key(kind, backend, deployment))
end

local function move(backend, deployment)
    for _, kind in ipairs(KINDS) do
        local name = key(kind, backend, deployment)
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
function _M.note_served(backends, deployment)
    if REAL:add(served_key(deployment), deployment) then
        for _, backend in ipairs(backends) do
            move(backend, deployment)
        end
    end
end

return _M
