--- The failover loop: from a client's request to the one answer that the client gets.
--
-- It stands above the rooms and calls them: routing chooses a backend, and attempt asks it. outcome judges an answer
-- that is read whole; answer opens a stream and judges its beginning. Then outcome tells routing what came back.
-- Nothing reaches the client before the loop ends, so a failed attempt leaves no trace.
local event_stream = require("apisix.plugins.azure-openai.answer.event_stream")
local own_items = require("apisix.plugins.azure-openai.answer.own_items")
local dispatch = require("apisix.plugins.azure-openai.attempt.dispatch")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")
local errors = require("apisix.plugins.azure-openai.base.errors")
local final_answer = require("apisix.plugins.azure-openai.outcome.final_answer")
local not_yours = require("apisix.plugins.azure-openai.outcome.not_yours")
local outcomes = require("apisix.plugins.azure-openai.outcome.outcomes")
local verdict = require("apisix.plugins.azure-openai.outcome.verdict")
local balancer = require("apisix.plugins.azure-openai.routing.balancer")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")
local regions = require("apisix.plugins.azure-openai.routing.regions")
local resource_lessons = require("apisix.plugins.azure-openai.routing.resource_lessons")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local type = type
local math_huge = math.huge

-- JSON is read whole before anything is sent, so an answer that is cut short can still fail over. Stored files, and
-- answers of many images or embeddings, can be larger: they are passed on as they arrive.
local LARGEST_WHOLE_BYTES = 8 * 1024 * 1024
-- Azure's errors have some hundred bytes; those that quote the request can be as large as that.
local LARGEST_ERROR_BYTES = 1024 * 1024
-- Audio, for example. So much may be held back until it is whole, but no longer than the beginning of a stream.
local SMALL_BYTES = 64 * 1024

local _M = {}

local function media_type(response)
    local content_type = response.headers["content-type"]
    return type(content_type) == "string" and content_type:lower():match("^%s*([^;%s]+)") or nil
end

local function failure(reason, err)
    return { reason = reason, err = err }
end

-- A successful outcome; `content` holds the body in one of the forms of an Answer.
local function success(response, content)
    content.status, content.headers = response.status, response.headers
    return { status = response.status, headers = response.headers, answer = content }
end

local function broken_off(response, err)
    upstream.close(response)
    return failure(err == "timeout" and "timeout" or "reset", err)
end

-- A JSON answer that is too large to be read whole. Once its beginning is there, it can no longer fail over.
local function pass_on(response)
    local beginning, err = response.body:beginning(0, 0)
    if not beginning then
        return broken_off(response, err)
    end
    return success(response, { connection = response, beginning = beginning })
end

local TOO_LARGE_ERROR = "The backend's error has more than " .. LARGEST_ERROR_BYTES .. " bytes."
local CUT_ERROR = "The backend's error was cut short."

-- What stands for the body of an error that cannot be read.
local function own_words(response, message)
    upstream.close(response)
    response.headers["content-type"], response.headers["content-encoding"] = "application/json", nil
    return errors.body(response.status, message)
end

-- Reads a body that may be missing.
local function body_of(response, limit_bytes)
    if not response.body then
        return ""
    end
    return response.body:read_whole(limit_bytes)
end

-- What a body that was read whole says of its attempt.
local function judged(response, body, plan)
    local reason = verdict.reason(response.status, body, #plan.references > 0)
    if reason then
        return { reason = reason, status = response.status, headers = response.headers, body = body }
    end
    return success(response, { body = body })
end

-- Reads an error to its end.
local function read_error(response, plan)
    local body, err = body_of(response, LARGEST_ERROR_BYTES)
    if body then
        upstream.release(response)
        return judged(response, body, plan)
    end
    if err == "too large" then
        return judged(response, own_words(response, TOO_LARGE_ERROR), plan)
    end
    local outcome = judged(response, own_words(response, CUT_ERROR), plan)
    -- Some statuses say enough. The client gets no error of which a part is missing.
    return outcome.reason and outcome or broken_off(response, err)
end

-- Reads a JSON answer to its end, so a connection that breaks in the middle can still fail over.
local function read_whole(response, plan)
    local body, err = body_of(response, LARGEST_WHOLE_BYTES)
    if err == "too large" then
        return pass_on(response)
    end
    if not body then
        return broken_off(response, err)
    end
    upstream.release(response)
    return judged(response, body, plan)
end

-- Any other answer is passed on as it arrives. Until its beginning is there it can still fail over.
local function open_body(pool, response)
    local _, err = response.body:beginning(SMALL_BYTES, pool.failover.stream_probe_ms / 1000)
    if err then
        return broken_off(response, err)
    end
    return success(response, { connection = response })
end

local function open_stream(pool, response)
    local stream, failed = event_stream.open(pool, response)
    return failed or success(response, { event_stream = stream })
end

-- Asks one backend. Returns an Outcome, without the time that it took.
local function ask(pool, attempt, request, plan)
    local response, reason, err = dispatch.send(pool, attempt.backend, attempt.deployment, request)
    if not response then
        return failure(reason, err)
    end
    if response.status == 101 then
        if request.is_upgrade then
            return success(response, { tunnel = response })
        end
        upstream.close(response)
        return failure("reset", "it switches protocols, but the client did not ask for that")
    end
    local kind = media_type(response)
    if response.status >= 400 then
        return read_error(response, plan)
    end
    if not response.body or kind == "application/json" then
        return read_whole(response, plan)
    end
    if kind == "text/event-stream" then
        return open_stream(pool, response)
    end
    return open_body(pool, response)
end

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
    local outcome = ask(state.pool, attempt, state.request, plan)
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
