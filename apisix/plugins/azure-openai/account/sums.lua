--- Sums of requests that share all labels, in this worker. A timer hands some of them to the registry now and then: to
--- find a dozen series for each request would cost more than all the rest of counting.
local durations = require("apisix.plugins.azure-openai.account.durations")
local registry = require("apisix.plugins.azure-openai.account.registry")

local ngx = ngx
local ipairs = ipairs
local math_huge = math.huge
local math_min = math.min

-- No request goes on meanwhile, and some thousand clients have as many sums.
local MOST_IN_A_TURN = 500

local _M = {
    --- The fields of a usage that are exported.
    TOKEN_KINDS = {
        "prompt",
        "completion",
        "cached",
        "cache_write",
        "reasoning",
        "audio_prompt",
        "audio_completion",
        "audio_cached",
        "image_prompt",
        "image_completion",
    },
}

-- Which client uses reasoning matters, not which backend; what is written to a cache stays with a backend. To have each
-- in one of them only keeps the series few.
local NOT_BY_BACKEND = { reasoning = true }
local NOT_BY_CLIENT = { cache_write = true }

local function flush_requests(metrics, sum)
    metrics.requests:inc(sum.requests, { sum.backend, sum.region, sum.deployment, sum.outcome })
    metrics.client_requests:inc(sum.requests, { sum.lane, sum.outcome, sum.client })
end

local function flush_tokens(metrics, sum)
    local client, backend, model = sum.client, sum.backend, sum.model
    for _, kind in ipairs(_M.TOKEN_KINDS) do
        local amount = sum[kind]
        if amount and not NOT_BY_CLIENT[kind] then
            metrics.tokens:inc(amount, { model, kind, sum.estimated, client })
        end
        if amount and not NOT_BY_BACKEND[kind] then
            metrics.backend_tokens:inc(amount, { backend, model, kind })
        end
    end
    if sum.cost then
        metrics.cost:inc(sum.cost, { model, client })
        metrics.backend_cost:inc(sum.cost, { backend, model })
    end
    if sum.unpriced then
        metrics.unpriced_tokens:inc(sum.unpriced, { sum.deployment, model })
    end
end

-- Sums by their labels, and in the order in which they came. Clients are most, so their label is the last: each adds no
-- table but its sum.
local function generation()
    return { requests = {}, tokens = {}, list = {}, count = 0 }
end

-- Those of the old one are being handed over. What is counted meanwhile makes new ones, so every sum has its turn.
local new, old, handed_over = generation(), generation(), 0

local function below(node, label)
    local found = node[label]
    if not found then
        found = {}
        node[label] = found
    end
    return found
end

local function keep(sum)
    new.count = new.count + 1
    new.list[new.count] = sum
    return sum
end

--- The sum of requests with these labels.
-- @return table for `add`: "requests"
function _M.of_requests(client, lane, backend, region, deployment, outcome)
    local by_client = below(below(below(below(new.requests, backend), deployment), lane), outcome)
    local sum = by_client[client]
    if not sum then
        sum = keep({
            flush = flush_requests,
            client = client,
            lane = lane,
            backend = backend,
            region = region,
            deployment = deployment,
            outcome = outcome,
            requests = 0,
        })
        by_client[client] = sum
    end
    return sum
end

--- The sum of what was used with these labels.
-- @param estimated string "true" or "false"
-- @return table for `add`: "cost" in USD, "unpriced" in tokens, and the kinds of tokens
function _M.of_tokens(client, backend, deployment, model, estimated)
    local by_client = below(below(below(below(new.tokens, backend), deployment), model), estimated)
    local sum = by_client[client]
    if not sum then
        sum = keep({
            flush = flush_tokens,
            client = client,
            backend = backend,
            deployment = deployment,
            model = model,
            estimated = estimated,
        })
        by_client[client] = sum
    end
    return sum
end

--- Adds to one number of a sum.
-- @param sum table
-- @param name string
-- @param amount number
function _M.add(sum, name, amount)
    sum[name] = (sum[name] or 0) + amount
end

-- Hands some of the old sums over. Returns how many more there could have been.
local function hand_over(metrics, most)
    local last = math_min(old.count, handed_over + most)
    local left = most - (last - handed_over)
    while handed_over < last do
        -- First of all: should one fail, the next turn goes on behind it.
        handed_over = handed_over + 1
        local sum = old.list[handed_over]
        old.list[handed_over] = nil
        sum.flush(metrics, sum)
    end
    return left
end

local function flush(most)
    local metrics = registry.metrics()
    if not metrics then
        new = generation()
        return
    end
    local left = hand_over(metrics, most)
    if left > 0 then
        old, handed_over = { list = new.list, count = new.count }, 0
        new = generation()
        hand_over(metrics, left)
    end
    durations.flush()
end

-- The registry's own last turn may be over by then.
local function take_turn(is_last)
    flush(is_last and math_huge or MOST_IN_A_TURN)
    if is_last then
        registry.write_through()
    end
end

--- Begins to hand the sums over. Once in each worker. A worker that stops runs the timer a last time, at once.
function _M.watch()
    ngx.timer.every(registry.hand_over_seconds(), take_turn)
end

--- Hands the sums over at once in a worker that stops: it still finishes its requests, but runs no timers any more,
--- except those without a pause. APISIX's own metrics count a request after this, so they are written then.
function _M.flush_at_the_end()
    if ngx.worker.exiting() then
        flush(math_huge)
        if not ngx.timer.at(0, registry.write_through) then
            registry.write_through()
        end
    end
end

return _M
