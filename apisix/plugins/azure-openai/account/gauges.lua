--- Keeps gauges up to date that no request changes: what is left of quotas, the regions of backends, what those of
--- provisioned throughput cost, and what is used of budgets.
local budgets = require("apisix.plugins.azure-openai.account.budgets")
local labels = require("apisix.plugins.azure-openai.account.labels")
local registry = require("apisix.plugins.azure-openai.account.registry")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local regions = require("apisix.plugins.azure-openai.routing.regions")

local ipairs = ipairs
local pairs = pairs

local _M = {}

-- The values that are shown, by metric and labels. What is not known any more is not shown any more.
local shown = {}

local function show(gauge, found)
    local old = shown[gauge] or {}
    for key, values in pairs(old) do
        if not found[key] then
            gauge:del(values)
        end
    end
    for _, values in pairs(found) do
        gauge:set(values.value, values)
    end
    shown[gauge] = found
end

local function add(found, backend, label, value)
    if value then
        found[backend .. "\0" .. (label or "")] = { backend, label, value = value }
    end
end

local function shares(pool)
    local found = {}
    for _, name in ipairs(labels.client_deployments(pool)) do
        for _, backend in ipairs(pool.backends) do
            local own_name = pool_module.deployment_on(backend, { deployment = name })
            add(found, backend.name, name, own_name and availability.remaining_share(backend, own_name))
        end
    end
    return found
end

local function known_regions(pool)
    local found = {}
    for _, backend in ipairs(pool.backends) do
        local region = regions.of(backend)
        add(found, backend.name, region or "", region and 1)
    end
    return found
end

local function hourly_costs(pool)
    local found = {}
    for _, backend in ipairs(pool.backends) do
        add(found, backend.name, nil, backend.provisioned_usd_per_hour)
    end
    return found
end

local function used_budgets()
    local found = {}
    for _, one in ipairs(budgets.standings()) do
        local labels_of_one = { one.period, one.unit, one.client, value = one.share }
        found[one.client .. "\0" .. one.period .. "\0" .. one.unit] = labels_of_one
    end
    return found
end

--- Sets the gauges to what holds now. In one worker, now and then.
-- @param pool Pool
function _M.refresh(pool)
    local metrics = registry.metrics()
    if metrics then
        show(metrics.remaining_quota, shares(pool))
        show(metrics.backend_info, known_regions(pool))
        show(metrics.provisioned_cost, hourly_costs(pool))
        show(metrics.budget_used, used_budgets())
    end
end

return _M
