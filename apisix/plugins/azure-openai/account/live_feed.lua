--- What the live page shows of requests: the last ones, and sums. All workers share them, and only while somebody
--- watches are they written. The dictionary exists only where the page is on.
--
-- Requests are kept in a ring of numbered places. A watcher reads it at its own pace, so a slow one holds up nobody.
local core = require("apisix.core")
local labels = require("apisix.plugins.azure-openai.account.labels")

local ngx = ngx
local ipairs = ipairs
local pairs = pairs
local tonumber = tonumber
local math_floor = math.floor
local math_max = math.max
local math_min = math.min

local dict = ngx.shared["azure-openai-live"]

-- A reload of the page finds what was noted meanwhile.
local WATCHED_SECONDS = 30
local ENTRY_SECONDS = 900
local MOST_ENTRIES = 256
-- More pairs of client and deployment than these share one sum.
local MOST_PAIRS = 256
local OTHERS = 0
local LONGEST_BYTES = 100
local MOST_ATTEMPTS = 12
local SUMS = { "requests", "failed", "failovers", "prompt", "cached", "completion", "cost" }
local NO_TOKENS = { prompt = 0, cached = 0, completion = 0 }
local BACKEND_SUMS = { "served", "throttled", "failed" }

local _M = {
    --- Stands for clients and deployments beyond the bounds, and for deployments that only clients have named.
    OTHER = "other",
}

--- Somebody watches.
function _M.watch()
    dict:set("watched", true, WATCHED_SECONDS)
end

-- A bound for each text, so that the bound of the ring holds in bytes, too.
local function short(text)
    return text and text:sub(1, LONGEST_BYTES)
end

local function attempts_of(state)
    local list = {}
    for index = 1, math_min(#state.trail, MOST_ATTEMPTS) do
        local attempt = state.trail[index]
        list[index] = {
            backend = attempt.backend,
            region = attempt.region,
            status = attempt.status,
            reason = attempt.reason,
            at_ms = math_floor((attempt.started_at - state.started_at) * 1000 + 0.5),
            ms = math_floor(attempt.seconds * 1000 + 0.5),
        }
    end
    return setmetatable(list, core.json.array_mt)
end

local function entry_of(record, state, deployment)
    return {
        at = state.started_at,
        id = short(record.request_id),
        backend_id = short(record.backend_request_id),
        client = record.client,
        lane = record.lane,
        method = record.method,
        operation = short(record.operation),
        deployment = short(record.deployment),
        label = short(deployment),
        model = short(record.model),
        backend = record.backend,
        region = record.region,
        status = record.status,
        outcome = record.outcome,
        error = short(record.error),
        streamed = record.streamed,
        tokens = record.tokens,
        cost_usd = record.cost_usd,
        first_token_ms = record.first_token_ms,
        total_ms = record.total_ms,
        attempts = attempts_of(state),
    }
end

local function new_pair(name)
    if (dict:get("pairs") or 0) >= MOST_PAIRS then
        return OTHERS
    end
    local index = dict:incr("pairs", 1, 0)
    if not index or not dict:add("pair|" .. name, index) then
        -- Another worker was faster.
        return dict:get("pair|" .. name) or OTHERS
    end
    dict:set("name|" .. index, name)
    return index
end

local function add(kind, index, values)
    for name, value in pairs(values) do
        if value > 0 then
            dict:incr(kind .. index .. "|" .. name, value, 0)
        end
    end
end

-- What became of an attempt, as one of BACKEND_SUMS.
local function fate(attempt)
    if not attempt.reason then
        return "served"
    end
    return attempt.reason == "throttled" and "throttled" or "failed"
end

local function count_attempts(attempts)
    local failovers = 0
    for _, attempt in ipairs(attempts) do
        failovers = failovers + (attempt.reason and 1 or 0)
        add("backend|", attempt.backend, { [fate(attempt)] = 1 })
    end
    return failovers
end

local function sum_up(entry)
    local name = (entry.client or "") .. "\n" .. entry.label
    local tokens = entry.tokens or NO_TOKENS
    add("sum|", dict:get("pair|" .. name) or new_pair(name), {
        requests = 1,
        failed = entry.outcome == "success" and 0 or 1,
        failovers = count_attempts(entry.attempts),
        prompt = tokens.prompt,
        cached = tokens.cached,
        completion = tokens.completion,
        cost = entry.cost_usd or 0,
    })
end

--- Notes a finished request for those who watch, in the log phase. Without them it costs one look.
-- @param record table see `record.write`
-- @param state RequestState
function _M.note(record, state)
    if not dict or not dict:get("watched") then
        return
    end
    local entry = entry_of(record, state, labels.deployments:of(record.deployment or ""))
    sum_up(entry)
    local number = dict:incr("last", 1, 0)
    if number then
        local text = number .. "\n" .. (entry.client or "") .. "\n" .. core.json.encode(entry)
        dict:set("entry|" .. number % MOST_ENTRIES, text, ENTRY_SECONDS)
    end
end

--- The newest requests behind a number, the oldest first.
-- @param seen number of the last request that the caller has had; 0 for none
-- @param client string|nil the only client whose requests count; nil for all
-- @param most number how many the caller wants
-- @return string[] their JSON
-- @return number of the last request that there is
-- @return number how many the caller has missed
function _M.entries_since(seen, client, most)
    local last = dict:get("last") or 0
    local list, missed = {}, 0
    for number = last, math_max(seen, last - MOST_ENTRIES) + 1, -1 do
        local text = dict:get("entry|" .. number % MOST_ENTRIES) or ""
        local is_of, whose, json = text:match("^(%d+)\n([^\n]*)\n(.*)$")
        if tonumber(is_of) == number and (not client or whose == client) and #list < most then
            list[#list + 1] = json
        else
            missed = missed + 1
        end
    end
    for index = 1, math_floor(#list / 2) do
        local opposite = #list + 1 - index
        list[index], list[opposite] = list[opposite], list[index]
    end
    return list, last, missed + math_max(last - seen - MOST_ENTRIES, 0)
end

local function read(kind, index, names, values)
    for _, name in ipairs(names) do
        values[name] = dict:get(kind .. index .. "|" .. name) or 0
    end
    return values
end

--- The sums of each client and deployment, since they were first watched.
-- @param client string|nil the only client that counts; nil for all
-- @return table[] list of { client, deployment, requests, failed, failovers, prompt, cached, completion, cost }
function _M.sums(client)
    local list = {}
    for index = 1, dict:get("pairs") or 0 do
        local name = dict:get("name|" .. index)
        local whose, deployment = (name or ""):match("^(.*)\n(.*)$")
        if whose and (not client or whose == client) then
            list[#list + 1] = read("sum|", index, SUMS, { client = whose, deployment = deployment })
        end
    end
    local others = not client and read("sum|", OTHERS, SUMS, { client = _M.OTHER, deployment = _M.OTHER })
    if others and others.requests > 0 then
        list[#list + 1] = others
    end
    return list
end

--- The sums of the attempts at a backend, since they were first watched.
-- @param values table gets served, throttled and failed
function _M.add_backend_sums(backend, values)
    return read("backend|", backend.name, BACKEND_SUMS, values)
end

return _M
