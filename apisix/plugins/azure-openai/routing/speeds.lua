--- How fast backends begin to answer, and what that is worth among equals (B7, the balancer `latency`).
--
-- The gateway measures the time from the beginning of an attempt to its first output: to the first event with output of
-- a stream, else to the whole answer. Streams, other answers and each operation of a deployment are kept apart, so like
-- is compared with like. Only answers below 300 count, because a refusal is quick. An attempt that failed, or that its
-- client left, counts when it took longer than the mean: else a backend could look fast because its slow requests never
-- end well. Two kinds of requests are not measured: those that go to their owner first, since its conversations may be
-- longer than those of others, and those on which a model works after the answer.
--
-- It keeps the mean of the logarithms of the times. Answers differ by factors: one that takes sixty times as long
-- changes this mean by a half, but would make an ordinary mean seven times as large. A new time gets a part of at least
-- PART in the mean, and more the older the mean is: so the mean tells of about the last ten answers and of the last
-- minute. After FORGET_SECONDS without a time nothing is known any more. All workers share one entry for each backend,
-- deployment and kind of answer. When two workers write at the same moment, one of the times is lost, which does no
-- harm.
--
-- The weight of a backend is multiplied by the square of (fastest time / its own time): one that is twice as slow as
-- the fastest gets a quarter of its share. It keeps at least LEAST_SHARE of its weight, so that its recovery is seen.
-- An unknown backend counts as the fastest, so it is measured at once.
--
-- This costs one read for each candidate and one write for each answer.
local json_facts = require("apisix.plugins.azure-openai.request.json_facts")
local operations = require("apisix.plugins.azure-openai.request.operations")
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")

local ngx_now = ngx.now
local ipairs = ipairs
local math_exp = math.exp
local math_floor = math.floor
local math_log = math.log
local math_max = math.max
local math_min = math.min

local KIND = "speed"

local PART = 0.1
local AGE_SECONDS = 60
local FORGET_SECONDS = 300
local POWER = 2
local LEAST_SHARE = 0.05
-- Added to each time, so differences of a few milliseconds mean little.
local LEAST_SECONDS = 0.01
-- Flags have 31 bits and a sign, enough for the milliseconds of 24 days. No entry lives so long.
local MILLISECONDS = 1000
local FLAGS = 2 ^ 31

local _M = {}

--- The kind of answer whose times can be compared for a request.
-- @param pool table
-- @param request Request
-- @return string|nil nil when the pool does not prefer fast backends, or when the time of the request tells nothing
function _M.pace(pool, request)
    if
        pool.balancer.algorithm ~= "latency"
        or not operations.is_inference(request)
        or operations.is_background(request)
    then
        return nil
    end
    local operation = operations.name(request)
    return json_facts.is_true(request.facts, "stream") and operation .. "\1stream" or operation
end

local function now_as_flags()
    return math_floor(ngx_now() * MILLISECONDS) % FLAGS
end

-- The part of a new time in a mean that was last changed at some time. Of a clock that was set back the mean looks old.
local function part_of_new(changed_at)
    local age_seconds = (now_as_flags() - changed_at) % FLAGS / MILLISECONDS
    return math_max(PART, 1 - math_exp(-age_seconds / AGE_SECONDS))
end

local function set(attempt, scope, mean)
    memory.set(KIND, attempt.backend, scope, mean, FORGET_SECONDS, now_as_flags())
end

local function learn(attempt, seconds, is_at_least)
    local scope = memory.scope(attempt.deployment, attempt.pace)
    local mean, changed_at = memory.get(KIND, attempt.backend, scope)
    local new = math_log(math_max(seconds, 0) + LEAST_SECONDS)
    if not mean then
        -- A client could name any deployment, and only a success shows that it is real.
        if not is_at_least then
            set(attempt, scope, new)
        end
    elseif not is_at_least or new > mean then
        set(attempt, scope, mean + part_of_new(changed_at) * (new - mean))
    end
end

--- The first output of an attempt has arrived.
-- @param attempt Attempt is not measured without `pace`
-- @param seconds number since the attempt began
function _M.note(attempt, seconds)
    if attempt.pace then
        learn(attempt, seconds, false)
    end
end

--- An attempt ended without any output.
-- @param attempt Attempt is not measured without `pace`
-- @param seconds number since the attempt began
function _M.note_without_output(attempt, seconds)
    if attempt.pace then
        learn(attempt, seconds, true)
    end
end

--- The weights of backends, changed by their speeds.
-- @param backends Backend[]
-- @param deployments string[] their names for the deployment
-- @param pace string
-- @return number[]
function _M.weights(backends, deployments, pace)
    local means, fastest = {}, nil
    for index, backend in ipairs(backends) do
        local mean = memory.get(KIND, backend, memory.scope(deployments[index], pace))
        means[index] = mean or false
        fastest = mean and math_min(mean, fastest or mean) or fastest
    end
    local weights = {}
    for index, backend in ipairs(backends) do
        local mean = means[index]
        local share = mean and math_max(LEAST_SHARE, math_exp(POWER * (fastest - mean))) or 1
        weights[index] = backend.weight * share
    end
    return weights
end

return _M
