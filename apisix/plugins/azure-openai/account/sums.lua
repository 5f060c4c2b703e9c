--- Sums of requests that share all labels, in this worker. A timer hands some of them to the registry each second: to
--- find a dozen series for each request would cost more than all the rest of counting.
local durations = require("apisix.plugins.azure-openai.account.durations")
local registry = require("apisix.plugins.azure-openai.account.registry")

local ngx = ngx
local ipairs = ipairs
local math_huge = math.huge
local next = next

local FLUSH_SECONDS = 1
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

local requests, tokens = {}, {}
-- Those that are being handed over. What is counted meanwhile makes new ones, so every sum has its turn.
local old_requests, old_tokens = {}, {}

--- The sum of requests with these labels.
-- @return table for `add`: "requests"
function _M.of_requests(client, lane, backend, region, deployment, outcome)
    local key = client .. "\n" .. lane .. "\n" .. backend .. "\n" .. deployment .. "\n" .. outcome
    local sum = requests[key]
    if not sum then
        sum = {
            client = client,
            lane = lane,
            backend = backend,
            region = region,
            deployment = deployment,
            outcome = outcome,
            requests = 0,
        }
        requests[key] = sum
    end
    return sum
end

--- The sum of what was used with these labels.
-- @param estimated string "true" or "false"
-- @return table for `add`: "cost" in USD, "unpriced" in tokens, and the kinds of tokens
function _M.of_tokens(client, backend, deployment, model, estimated)
    local key = client .. "\n" .. backend .. "\n" .. deployment .. "\n" .. model .. "\n" .. estimated
    local sum = tokens[key]
    if not sum then
        sum = {
            client = client,
            backend = backend,
            deployment = deployment,
            model = model,
            estimated = estimated,
        }
        tokens[key] = sum
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

local function flush_requests(metrics, sum)
    metrics.requests:inc(sum.requests, { sum.backend, sum.region, sum.deployment, sum.outcome })
    metrics.client_requests:inc(sum.requests, { sum.client, sum.lane, sum.outcome })
end

local function flush_tokens(metrics, sum)
    local client, backend, model = sum.client, sum.backend, sum.model
    for _, kind in ipairs(_M.TOKEN_KINDS) do
        local amount = sum[kind]
        if amount and not NOT_BY_CLIENT[kind] then
            metrics.tokens:inc(amount, { client, model, kind, sum.estimated })
        end
        if amount and not NOT_BY_BACKEND[kind] then
            metrics.backend_tokens:inc(amount, { backend, model, kind })
        end
    end
    if sum.cost then
        metrics.cost:inc(sum.cost, { client, model })
        metrics.backend_cost:inc(sum.cost, { backend, model })
    end
    if sum.unpriced then
        metrics.unpriced_tokens:inc(sum.unpriced, { sum.deployment, model })
    end
end

-- Takes sums out of a table, `most` at most, and hands them over. Returns how many more there could have been.
local function hand_over(sums, most, flush_one, metrics)
    local key, sum = next(sums)
    while key and most > 0 do
        flush_one(metrics, sum)
        sums[key] = nil
        most = most - 1
        key, sum = next(sums, key)
    end
    return most
end

local function flush(most)
    local metrics = registry.metrics()
    if not metrics then
        requests, tokens = {}, {}
        return
    end
    local left = hand_over(old_requests, most, flush_requests, metrics)
    left = hand_over(old_tokens, left, flush_tokens, metrics)
    if left > 0 then
        old_requests, requests = requests, {}
        old_tokens, tokens = tokens, {}
        left = hand_over(old_requests, left, flush_requests, metrics)
        hand_over(old_tokens, left, flush_tokens, metrics)
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
    ngx.timer.every(FLUSH_SECONDS, take_turn)
end

--- Hands the sums over at once in a worker that stops: it still finishes its requests, but runs no timers any more.
function _M.flush_at_the_end()
    if ngx.worker.exiting() then
        take_turn(true)
    end
end

return _M
