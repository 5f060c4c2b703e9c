--- The failover loop: from a client's request to the one answer that the client gets.
--
-- It stands above the rooms and calls them: routing chooses a backend; answer asks it through attempt, and judges with
-- outcome what comes back. Then outcome tells routing.
-- Nothing reaches the client before the loop ends, so a failed attempt leaves no trace.
local asking = require("apisix.plugins.azure-openai.answer.asking")
local own_items = require("apisix.plugins.azure-openai.answer.own_items")
local final_answer = require("apisix.plugins.azure-openai.outcome.final_answer")
local not_yours = require("apisix.plugins.azure-openai.outcome.not_yours")
local outcomes = require("apisix.plugins.azure-openai.outcome.outcomes")
local balancer = require("apisix.plugins.azure-openai.routing.balancer")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")
local regions = require("apisix.plugins.azure-openai.routing.regions")
local resource_lessons = require("apisix.plugins.azure-openai.routing.resource_lessons")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local math_huge = math.huge

local _M = {}

local function note_in_trail(state, attempt, outcome)
    state.trail[#state.trail + 1] = {
        backend = attempt.backend.name,
        region = regions.of(attempt.backend),
        status = outcome.status or outcome.reason,
        reason = outcome.reason,
        started_at = attempt.started_at,
        seconds = outcome.seconds,
    }
end

-- Makes one attempt. Should the client leave meanwhile, the log phase finds the attempt in the state.
local function try(state, attempt, plan)
    state.attempt = attempt
    local outcome = asking.ask(state.pool, attempt, state.request, plan)
    state.attempt = nil

    outcome.seconds = ngx_now() - attempt.started_at
    regions.learn(attempt.backend, outcome.headers)
    outcomes.settle(state.pool, attempt, outcome)
    note_in_trail(state, attempt, outcome)
    return outcome
end

-- One pass over the candidates that are not in `tried`. Returns the answer for the client, or nil and whether further
-- attempts are ruled out.
local function try_candidates(ctx, state, plan, tried, failures)
    local failover = state.pool.failover
    local limit = failover.max_attempts or math_huge
    while #state.trail < limit do
        local backend, deployment, is_trial = balancer.next(ctx, state.pool, plan, tried)
        if not backend then
            return nil
        end

        local attempt =
            { backend = backend, deployment = deployment, is_trial = is_trial, started_at = ngx_now() }
        local outcome = try(state, attempt, plan)
        if outcome.answer then
            outcome.answer.backend, outcome.answer.deployment = backend, deployment
            return outcome.answer
        end

        failures[#failures + 1] = outcome
        if outcome.reason == "not_found" then
            -- The supposed owner does not hold the resource, so from here on any backend may.
            plan.owner = nil
        end
        if outcome.seconds * 1000 > failover.retry_within_ms then
            return nil, true
        end
    end
    return nil, true
end

-- Holds the request while a candidate rests that recovers soon, then tries the candidates that rested. Backends that
-- failed for other reasons are not retried.
local function try_after_rest(ctx, state, plan, tried, failures)
    local seconds, resting = final_answer.worthwhile_wait(state.pool, plan)
    if not seconds then
        return nil
    end
    ngx.sleep(seconds)
    for _, name in ipairs(resting) do
        tried[name] = nil
    end
    return (try_candidates(ctx, state, plan, tried, failures))
end

local function note_exhaustion(state, answer, failures)
    local last = failures[#failures]
    state.is_exhausted = true
    state.failure = answer.status == 429 and "throttled" or last and last.reason or "unavailable"
end

local function note_winner(ctx, state, plan, answer)
    state.winner = answer.backend
    -- APISIX's own metrics and logs call this the node.
    ctx.balancer_ip = answer.backend.name
    resource_lessons.learn(plan, state.request, answer, function(id)
        state.answered_id = id
    end)
end

--- Finds the answer to a request.
-- @param ctx table request context
-- @param state RequestState gets the trail and the winner
-- @return Answer
function _M.run(ctx, state)
    -- A client that leaves ends its request at once, upstream connection included.
    ngx.on_abort(function()
        state.error = "client_gone"
        ngx.exit(499)
    end)

    local plan = ownership.plan(state.pool, state.request, state.client)
    if plan.fault then
        state.error = "resource_" .. plan.fault
        return not_yours.compose(state.request, plan.fault, plan.fault_id)
    end
    local tried, failures = {}, {}
    local answer, is_final = try_candidates(ctx, state, plan, tried, failures)
    if not answer and not is_final then
        answer = try_after_rest(ctx, state, plan, tried, failures)
    end
    if answer then
        note_winner(ctx, state, plan, answer)
        return own_items.only(state, plan, answer)
    end
    answer = final_answer.compose(state.pool, state.request, plan, failures)
    note_exhaustion(state, answer, failures)
    return answer
end

return _M
