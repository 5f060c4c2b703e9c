--- The failover loop: from a client's request to the one answer that the client gets.
--
-- It stands above the rooms and calls them: routing chooses a backend; `one_backend` has it asked and judged; outcome
-- says what that means and what the client gets.
-- Nothing reaches the client before the loop ends, so a failed attempt leaves no trace.
local one_backend = require("apisix.plugins.azure-openai.one_backend")
local own_addresses = require("apisix.plugins.azure-openai.answer.own_addresses")
local own_items = require("apisix.plugins.azure-openai.answer.own_items")
local final_answer = require("apisix.plugins.azure-openai.outcome.final_answer")
local not_switched = require("apisix.plugins.azure-openai.outcome.not_switched")
local not_yours = require("apisix.plugins.azure-openai.outcome.not_yours")
local outcomes = require("apisix.plugins.azure-openai.outcome.outcomes")
local repeats = require("apisix.plugins.azure-openai.outcome.repeats")
local operations = require("apisix.plugins.azure-openai.request.operations")
local balancer = require("apisix.plugins.azure-openai.routing.balancer")
local ephemeral_keys = require("apisix.plugins.azure-openai.routing.ephemeral_keys")
local fallbacks = require("apisix.plugins.azure-openai.routing.fallbacks")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")
local resource_lessons = require("apisix.plugins.azure-openai.routing.resource_lessons")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local unpack = unpack
local math_huge = math.huge

local _M = {}

-- One pass over the candidates that are not in `tried`. Returns the answer for the client; or nil and, when further
-- attempts are ruled out, why: "bounds", or "unknown" when another one could do the work twice.
local function try_candidates(ctx, state, plan, tried, failures)
    local failover = state.pool.failover
    local limit = failover.max_attempts or math_huge
    -- An early end: the client has left.
    while #failures < limit and not state.error do
        local backend, deployment, is_trial = balancer.next(ctx, state.pool, plan, tried)
        local is_override = false
        if not backend then
            backend, deployment, is_override = balancer.next_resting(state.pool, plan, tried)
        end
        if not backend then
            return nil
        end

        local attempt = {
            backend = backend,
            deployment = deployment,
            operation = plan.operation,
            is_inference = operations.is_inference(state.request),
            size = plan.size,
            pace = balancer.pace(plan, backend),
            is_trial = is_trial or false,
            is_override = is_override,
            started_at = ngx_now(),
        }
        local outcome = one_backend.try(state, attempt, plan)
        if outcome.answer then
            local answer = outcome.answer
            answer.backend, answer.deployment, answer.exchange = backend, deployment, state
            answer.attempt = attempt
            if attempt.is_as_sent then
                state.request = state.request.as_sent
            end
            return answer
        end

        failures[#failures + 1] = outcome
        state.failures[#state.failures + 1] = outcome
        if repeats.is_ruled_out(state.request, outcome) then
            return nil, "unknown"
        end
        if outcome.reason == "not_found" then
            -- The supposed owner does not hold the resource, so from here on any backend may.
            plan.owner = nil
            plan.maker = plan.maker ~= backend and plan.maker or nil
        end
        if outcome.reason == "not_deployed" then
            balancer.note_missing(tried, backend.name)
        end
        if not one_backend.is_in_time(outcome, failover) then
            return nil, "bounds"
        end
    end
    return nil, "bounds"
end

-- Frees the candidates that rest now, but none that has been asked again already. Tells whether there is any.
local function free(tried, resting, asked_again)
    local is_any = false
    for _, name in ipairs(resting) do
        if not asked_again[name] then
            tried[name], is_any = nil, true
        end
    end
    return is_any
end

-- Holds the request while a candidate rests that recovers soon, then tries the candidates that rested. Backends that
-- failed for other reasons are not retried. At the end of a cool-down a request may have to stand back for another one;
-- then it waits on, as long as it may.
local function try_after_rest(ctx, state, plan, tried, failures)
    local ends_at = ngx_now() + state.pool.failover.max_wait_ms / 1000
    local asked_again = {}
    while true do
        local seconds, resting = final_answer.worthwhile_wait(state.pool, plan, tried, ends_at - ngx_now())
        if not seconds or not free(tried, resting, asked_again) then
            return nil
        end
        ngx.sleep(seconds)
        state.waited_seconds = (state.waited_seconds or 0) + seconds
        local failed = #failures
        local answer, ruled_out = try_candidates(ctx, state, plan, tried, failures)
        if answer or ruled_out then
            return answer, ruled_out
        end
        for index = failed + 1, #failures do
            asked_again[failures[index].attempt.backend.name] = true
        end
    end
end

-- When others cannot read the items, only their maker can serve: it decides when to try again.
local function bind_to_maker(plan, failures)
    for _, failure in ipairs(failures) do
        if failure.reason == "not_found" then
            plan.owner = plan.owner or plan.maker
        end
    end
end

-- Tries the fallbacks of a deployment that nobody could serve, one after the other. What one of them does says nothing
-- of the others, so the failures of each are judged on their own.
local function try_fallbacks(ctx, state, plans, failures)
    for _, plan in ipairs(plans) do
        outcomes.conclude(state)
        state.failures = {}
        local answer, ruled_out = try_candidates(ctx, state, plan, {}, failures)
        if answer then
            state.served_deployment = plan.deployment
        end
        if answer or ruled_out then
            return answer, ruled_out
        end
    end
    return nil
end

-- Whether capacity or health was missing. Other statuses say what is wrong with the request.
local function is_lack(status)
    return status == 429 or status == 408 or status >= 500
end

local function note_failure(state, answer, failures)
    local last = failures[#failures]
    state.is_exhausted = is_lack(answer.status)
    state.failure = answer.status == 429 and "throttled" or last and last.reason or "unavailable"
end

-- A client that leaves ends its request at once, upstream connection included. A model that works in the background
-- works on, so the gateway waits for the id, to count what it uses.
local function end_early()
    local state = ngx.ctx.api_ctx.azure_openai
    state.error = "client_gone"
    if not operations.is_background(state.request) then
        ngx.exit(499)
    end
end

local function note_winner(ctx, state, plan, answer)
    state.winner = answer.backend
    ephemeral_keys.learn(state.request, answer, state.client)
    -- APISIX's own metrics and logs call this the node.
    ctx.balancer_ip = answer.backend.name
    resource_lessons.learn(plan, state, answer)
end

--- Finds the answer to a request.
-- @param ctx table request context
-- @param state RequestState gets the trail and the winner
-- @return Answer
function _M.run(ctx, state)
    ngx.on_abort(end_early)
    local plan = ownership.plan(state.pool, state.request, state.client)
    if plan.fault then
        state.error = "resource_" .. plan.fault
        return not_yours.compose(state.request, plan.fault, plan.fault_id)
    end
    if state.request.ephemeral_key then
        plan.owner = state.pool.by_name[state.request.ephemeral_key.backend]
        if not plan.owner then
            return final_answer.maker_gone()
        end
    end
    local tried, failures = {}, {}
    state.failures = {}
    local answer, ruled_out = try_candidates(ctx, state, plan, tried, failures)
    bind_to_maker(plan, failures)
    local other_plans = {}
    -- The model of a session with an ephemeral key was decided when the key was made.
    if not answer and not ruled_out and not state.request.ephemeral_key then
        other_plans = fallbacks.of(state.pool, state.client, plan)
        answer, ruled_out = try_fallbacks(ctx, state, other_plans, failures)
    end
    if not answer and not ruled_out then
        answer, ruled_out = try_after_rest(ctx, state, plan, tried, failures)
    end
    if answer then
        note_winner(ctx, state, plan, answer)
        outcomes.conclude(state, answer)
        return own_addresses.lead_back(ctx, state.request, own_items.only(state, plan, answer))
    end
    outcomes.conclude(state)
    if ruled_out == "unknown" then
        state.failure = "outcome_unknown"
        return final_answer.outcome_unknown()
    end
    if not_switched.is_outcome(state.request, failures) then
        return not_switched.compose()
    end
    answer = final_answer.compose(state.pool, state.request, { plan, unpack(other_plans) }, failures)
    note_failure(state, answer, failures)
    return answer
end

return _M
