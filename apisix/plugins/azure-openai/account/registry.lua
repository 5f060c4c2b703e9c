--- The gateway's own Prometheus metrics, in the registry that APISIX exports. Their labels are bounded: `labels` bounds
--- the names of deployments and models, the configuration all others; and histograms are by deployment only.
local core = require("apisix.core")
local exporter = require("apisix.plugins.prometheus.exporter")

local math_max = math.max
local math_min = math.min
local tonumber = tonumber

-- How often the page with the metrics is made, unless config.yaml says so.
local PAGE_SECONDS = 5
local SECONDS_OF_WAITING = { 0.25, 0.5, 1, 2.5, 5, 10, 30 }

local _M = {
    --- The largest values of the buckets, of the histograms that take many observations at once, in seconds.
    BOUNDS = {
        duration = { 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300 },
        first_token = { 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60 },
    },
}

local metrics
-- How many observations the one is that a histogram gets.
local weight = 1

-- The registry has no call for many observations at once. But its histograms use whatever counter they are given, and
-- this one adds as often as `weight` says.
local function with_weight(histogram, registry)
    histogram._counter = {
        incr = function(_, key, step, expiry)
            return registry._counter:incr(key, step * weight, expiry)
        end,
    }
    return histogram
end

-- The registry keeps a table for each value of a label below each value of those before it. Clients are most, so their
-- label is the last.
local function register(registry)
    return {
        requests = registry:counter(
            "azure_openai_requests_total",
            "Requests by the backend that answered (none when no backend did) and how they ended",
            { "backend", "region", "deployment", "outcome" }
        ),
        client_requests = registry:counter(
            "azure_openai_client_requests_total",
            "Requests by client, lane and how they ended",
            { "lane", "outcome", "client" }
        ),
        refusals = registry:counter(
            "azure_openai_refusals_total",
            "Requests that the gateway itself refused, by lane and limit or other reason",
            { "lane", "reason" }
        ),
        failovers = registry:counter(
            "azure_openai_failovers_total",
            "Attempts that failed for want of capacity or health (* for faults of the whole backend)",
            { "backend", "region", "deployment", "reason" }
        ),
        exhausted = registry:counter(
            "azure_openai_exhausted_total",
            "Requests that no backend could serve for want of capacity or health, by the status that the client got",
            { "deployment", "status" }
        ),
        forbidden = registry:counter(
            "azure_openai_forbidden_total",
            "Requests of inference that every backend refused with 403 or alike, by client",
            { "client" }
        ),
        unavailable_until = registry:gauge(
            "azure_openai_unavailable_until_seconds",
            "Unix time until which a backend's deployment rests (* for all of them)",
            { "backend", "deployment", "reason" }
        ),
        remaining_quota = registry:gauge(
            "azure_openai_remaining_quota_ratio",
            "Share of its quota that a deployment has left, as reported in the last minute; 0 while throttled",
            { "backend", "deployment" }
        ),
        backend_info = registry:gauge(
            "azure_openai_backend_info",
            "The region of each backend, as configured or as its answers say; always 1",
            { "backend", "region" }
        ),
        first_token = with_weight(
            registry:histogram(
                "azure_openai_time_to_first_token_seconds",
                "Seconds from an inference request to the first output of its answer",
                { "deployment" },
                _M.BOUNDS.first_token
            ),
            registry
        ),
        duration = with_weight(
            registry:histogram(
                "azure_openai_request_duration_seconds",
                "Seconds from a request to the end of a backend's answer, sessions excluded",
                { "deployment" },
                _M.BOUNDS.duration
            ),
            registry
        ),
        wait = registry:histogram(
            "azure_openai_wait_seconds",
            "Seconds for which requests were held until a backend had quota again; only those that were held",
            { "lane" },
            SECONDS_OF_WAITING
        ),
        tokens = registry:counter(
            "azure_openai_tokens_total",
            "Tokens used, by client",
            { "model", "kind", "estimated", "client" }
        ),
        cost = registry:counter(
            "azure_openai_cost_usd_total",
            "Estimated cost in USD, by client",
            { "model", "client" }
        ),
        backend_tokens = registry:counter(
            "azure_openai_backend_tokens_total",
            "Tokens used, by backend",
            { "backend", "model", "kind" }
        ),
        backend_cost = registry:counter(
            "azure_openai_backend_cost_usd_total",
            "Estimated cost in USD, by backend",
            { "backend", "model" }
        ),
        provisioned_cost = registry:gauge(
            "azure_openai_provisioned_usd_per_hour",
            "What a backend of provisioned throughput costs in USD an hour; all replicas say the same",
            { "backend" }
        ),
        budget_used = registry:gauge(
            "azure_openai_budget_used_ratio",
            "Share of a client's budget that is used in this hour, day or month; all replicas say about the same",
            { "period", "unit", "client" }
        ),
        unpriced_tokens = registry:counter(
            "azure_openai_unpriced_tokens_total",
            "Tokens of models without a price, which are in no cost",
            { "deployment", "model" }
        ),
        dropped = registry:counter(
            "azure_openai_dropped_records_total",
            "Records and traces that the collector did not take in time, by signal",
            { "signal" }
        ),
    }
end

--- The metrics by name. The prometheus plugin may load after this module, or never.
-- @return table|nil
function _M.metrics()
    local registry = not metrics and exporter.get_prometheus()
    if registry then
        metrics = register(registry)
    end
    return metrics
end

--- How long numbers may wait until they are handed over: a fifth of the time between two pages, at most.
-- @return number seconds, from 0.1 to 1
function _M.hand_over_seconds()
    local conf = core.config.local_conf()
    local page = core.table.try_read_attr(conf, "plugin_attr", "prometheus", "refresh_interval")
    return math_max(0.1, math_min(1, (tonumber(page) or PAGE_SECONDS) / 5))
end

--- Adds observations of about the same value to a histogram. They count in one bucket, so it has to be that of each.
-- @param name string "duration" or "first_token"
-- @param labels string[]
-- @param value number their mean
-- @param count number
function _M.observe(name, labels, value, count)
    weight = count
    metrics[name]:observe(value, labels)
end

--- Writes what this worker has counted to the memory of all workers. The registry does so by a timer, and a worker that
--- stops has none. The registry has no public call for it.
function _M.write_through()
    local counter = (exporter.get_prometheus() or {})._counter
    if counter then
        counter:sync()
    end
end

return _M
