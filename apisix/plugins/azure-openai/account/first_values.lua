--- Starts series at 0. A rate sees changes only, so an event that makes its own series would count for nothing.
---
--- These are the series of every configured backend and known deployment, and of clients: where these are many, only
--- what an alert reads.
local plugin = require("apisix.plugin")

local labels = require("apisix.plugins.azure-openai.account.labels")
local registry = require("apisix.plugins.azure-openai.account.registry")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")

local ipairs = ipairs

local AUTH = "azure-openai-auth"
-- What is usual; anything else makes its series when it happens.
local SERVED = { "success", "client_error", "interrupted", "client_gone" }
local NOT_SERVED = { "client_error", "client_gone", "refused", "server_error", "throttled" }
local OF_CLIENT =
    { "success", "client_error", "client_gone", "interrupted", "refused", "server_error", "throttled" }
local OF_PAIR = { "throttled", "server_error", "timeout", "reset" }
local EXHAUSTED = { "429", "503" }
local REFUSALS =
    { "client-budget", "client-requests", "client-tokens", "lane", "low-lane-reserve", "model_not_allowed" }
local LANES = { "high", "low" }
-- The series of more clients would be most of what is read at each scrape.
local MOST_CLIENTS = 200
local SIGNALS = { "logs", "traces" }

local _M = {}

local function start_deployment(metrics, pool, name)
    for _, outcome in ipairs(NOT_SERVED) do
        metrics.requests:inc(0, { "", "", name, outcome })
    end
    for _, status in ipairs(EXHAUSTED) do
        metrics.exhausted:inc(0, { name, status })
    end
    for _, backend in ipairs(pool.backends) do
        if pool_module.deployment_on(backend, { deployment = name }) then
            local region = backend.region or ""
            for _, outcome in ipairs(SERVED) do
                metrics.requests:inc(0, { backend.name, region, name, outcome })
            end
            for _, reason in ipairs(OF_PAIR) do
                metrics.failovers:inc(0, { backend.name, region, name, reason })
            end
        end
    end
end

local function start_backends(metrics, pool)
    for _, backend in ipairs(pool.backends) do
        for _, reason in ipairs(labels.REASONS_OF_BACKENDS) do
            metrics.failovers:inc(0, { backend.name, backend.region or "", labels.EVERY, reason })
        end
    end
end

-- Without authentication all requests are of the client "".
local function start_clients(metrics, conf)
    local clients = conf and conf.clients or { { name = "" } }
    for _, client in ipairs(clients) do
        metrics.forbidden:inc(0, { client.name })
    end
    if #clients > MOST_CLIENTS then
        return
    end
    for _, client in ipairs(clients) do
        for _, lane in ipairs(client.lane and { client.lane } or LANES) do
            for _, outcome in ipairs(OF_CLIENT) do
                metrics.client_requests:inc(0, { lane, outcome, client.name })
            end
        end
    end
end

local function start_refusals(metrics)
    for _, lane in ipairs(LANES) do
        for _, reason in ipairs(REFUSALS) do
            metrics.refusals:inc(0, { lane, reason })
        end
    end
end

local function start_signals(metrics)
    for _, signal in ipairs(SIGNALS) do
        metrics.dropped:inc(0, { signal })
    end
end

--- Starts the series of a deployment that the gateway has just learned.
-- @param pool Pool
-- @param name string
function _M.of_deployment(pool, name)
    local metrics = registry.metrics()
    if metrics then
        start_deployment(metrics, pool, name)
    end
end

local started_for, started_for_clients

--- Starts all series, unless the configuration is still the same. In one worker, now and then.
-- @param pool Pool
function _M.refresh(pool)
    local metrics, metadata = registry.metrics(), plugin.plugin_metadata(AUTH)
    local conf = metadata and metadata.value
    if not metrics or (pool == started_for and conf == started_for_clients) then
        return
    end
    for _, name in ipairs(labels.client_deployments(pool)) do
        start_deployment(metrics, pool, name)
    end
    start_backends(metrics, pool)
    start_clients(metrics, conf)
    start_refusals(metrics)
    if pool.telemetry then
        start_signals(metrics)
    end
    started_for, started_for_clients = pool, conf
end

return _M
