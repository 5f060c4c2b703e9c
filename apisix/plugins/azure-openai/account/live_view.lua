--- What one watcher of the live page sees: the backends as they are now, sums, and the requests since the last look.
local core = require("apisix.core")
local budgets = require("apisix.plugins.azure-openai.account.budgets")
local feed = require("apisix.plugins.azure-openai.account.live_feed")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local breakers = require("apisix.plugins.azure-openai.routing.breakers")
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local regions = require("apisix.plugins.azure-openai.routing.regions")

local ngx_now = ngx.now
local ipairs = ipairs
local math_floor = math.floor
local math_max = math.max
local os_getenv = os.getenv
local pairs = pairs
local table_concat = table.concat
local table_sort = table.sort

-- Nobody reads more in a second.
local MOST_REQUESTS = 100
-- Rows of backend and deployment in one look. Each backend gets its share, and one at least.
local MOST_PAIRS = 1000
-- Budgets in one look: those of which the largest share is used.
local MOST_BUDGETS = 200
-- The state of a pair that takes requests.
local READY = "ready"
local REPLICA = os_getenv("CONTAINER_APP_REPLICA_NAME") or os_getenv("HOSTNAME")
-- What a client does not learn where answers do not name the backend.
local NAMES_OF_BACKENDS = { "backend", "region", "attempts" }

local _M = {}
local mt = { __index = _M }

--- Makes the view of a watcher.
-- @param client table|nil the only client whose requests it shows; nil for all
-- @return table with `next`
function _M.new(client)
    return setmetatable({ client = client, seen = 0 }, mt)
end

local function rounded(seconds)
    return seconds and seconds > 0 and math_max(seconds, 0.1) or nil
end

local function pair_of(backend, deployment, own_name)
    local reason, seconds = availability.state(backend, own_name)
    local remaining, limit = availability.left(backend, own_name, "tokens")
    return {
        deployment = deployment,
        own_name = own_name ~= deployment and own_name or nil,
        state = reason or READY,
        seconds = rounded(seconds),
        tokens_left = remaining,
        tokens_limit = limit,
        share_left = availability.remaining_share(backend, own_name),
    }
end

-- Configured deployments, and those that have been asked for: no kinds of stored resources, no name that stands for
-- others.
local function known_deployments(pool, sums)
    local names = {}
    for _, backend in ipairs(pool.backends) do
        for name in pairs(backend.deployments or {}) do
            names[name] = true
        end
    end
    for _, sum in ipairs(sums) do
        if sum.deployment:find("^[^/]") and sum.deployment ~= feed.OTHER then
            names[sum.deployment] = true
        end
    end
    local list = {}
    for name in pairs(names) do
        list[#list + 1] = name
    end
    table_sort(list)
    return list
end

-- Those beyond the share are only counted.
local function add_pairs(row, backend, deployments, most)
    for _, deployment in ipairs(deployments) do
        local own_name = pool_module.deployment_on(backend, { deployment = deployment })
        if own_name and #row.pairs < most then
            row.pairs[#row.pairs + 1] = pair_of(backend, deployment, own_name)
        elseif own_name then
            row.more_pairs = (row.more_pairs or 0) + 1
        end
    end
end

function _M:backends(pool, sums)
    local deployments = self.client and self.client.deployments or known_deployments(pool, sums)
    local most = math_max(math_floor(MOST_PAIRS / #pool.backends), 1)
    local list = {}
    for index, backend in ipairs(pool.backends) do
        local reason, seconds = breakers.state(backend, memory.EVERY)
        local row = {
            name = backend.name,
            region = regions.of(backend),
            priority = backend.priority,
            weight = backend.weight,
            state = reason or READY,
            seconds = rounded(seconds),
            pairs = setmetatable({}, core.json.array_mt),
        }
        if not self.client then
            feed.add_backend_sums(backend, row)
        end
        add_pairs(row, backend, deployments, most)
        list[index] = row
    end
    return list
end

-- The budgets that are shown, those of which most is used first, and how many more there are.
local function used_budgets(client)
    local list = budgets.standings(client)
    table_sort(list, function(one, other)
        return one.share > other.share
    end)
    local more = math_max(#list - MOST_BUDGETS, 0)
    for index = #list, MOST_BUDGETS + 1, -1 do
        list[index] = nil
    end
    return setmetatable(list, core.json.array_mt), more
end

-- Takes out of a request what its client does not learn from answers either.
local function without_backends(texts)
    for index, text in ipairs(texts) do
        local entry = core.json.decode(text)
        for _, name in ipairs(NAMES_OF_BACKENDS) do
            entry[name] = nil
        end
        entry.attempts = setmetatable({}, core.json.array_mt)
        texts[index] = core.json.encode(entry)
    end
end

--- What there is to see now.
-- @param pool Pool
-- @return string JSON: { now, replica, scope, client, sums, budgets, more_budgets, backends (with pairs), missed,
--   requests }
function _M:next(pool)
    local client = self.client and self.client.name
    local texts, last, missed = feed.entries_since(self.seen, client, MOST_REQUESTS)
    local is_first = self.seen == 0
    self.seen = last

    local shown, more = used_budgets(self.client)
    local sums, is_hidden = feed.sums(client), client and not pool.expose_backend_headers
    local state = {
        now = ngx_now(),
        replica = REPLICA,
        scope = client and "own" or "all",
        client = client,
        sums = setmetatable(sums, core.json.array_mt),
        budgets = shown,
        more_budgets = more,
        backends = setmetatable(is_hidden and {} or self:backends(pool, sums), core.json.array_mt),
        missed = not client and not is_first and missed or 0,
    }
    if is_hidden then
        without_backends(texts)
    end
    -- The texts are JSON already.
    return core.json.encode(state):sub(1, -2) .. ',"requests":[' .. table_concat(texts, ",") .. "]}"
end

return _M
