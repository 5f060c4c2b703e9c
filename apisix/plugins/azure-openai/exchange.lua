--- The failover loop: from a client's request to the one answer that the client gets.
--
-- Nothing reaches the client before the loop ends, so an attempt that fails leaves no trace. An answer is
-- { status, headers, body | event_stream | connection | tunnel, backend, deployment (the backend's name for it) };
-- whoever called hands it to `relay`.
local balancer = require("apisix.plugins.azure-openai.routing.balancer")
local credentials = require("apisix.plugins.azure-openai.attempt.credentials")
local event_stream = require("apisix.plugins.azure-openai.answer.event_stream")
local final_answer = require("apisix.plugins.azure-openai.outcome.final_answer")
local headers = require("apisix.plugins.azure-openai.attempt.headers")
local lessons = require("apisix.plugins.azure-openai.outcome.outcomes")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")
local request_module = require("apisix.plugins.azure-openai.request.reading")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")
local verdict = require("apisix.plugins.azure-openai.outcome.verdict")
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local tonumber = tonumber
local type = type
local math_huge = math.huge

-- Stored files can be JSON, of hundreds of megabytes; answers of models are never so large when they are fetched.
local LARGEST_BUFFERED_DOWNLOAD_BYTES = 8 * 1024 * 1024

local _M = {}

local function media_type(answer)
    local content_type = answer.headers["content-type"]
    return type(content_type) == "string" and content_type:lower():match("^%s*([^;%s]+)") or nil
end

local function is_download(request, answer)
    local size = tonumber(answer.headers["content-length"])
    return request.method == "GET" and size ~= nil and size > LARGEST_BUFFERED_DOWNLOAD_BYTES
end

-- Errors and JSON documents are read whole before anything is sent; anything else may be of any size.
local function is_buffered(request, answer)
    return answer.status >= 400
        or not answer.has_body
        or (media_type(answer) == "application/json" and not is_download(request, answer))
end

local function failure(reason, err)
    return { reason = reason, err = err }
end

-- Reads a JSON or error answer to its end, so that a connection that breaks in the middle can still fail over.
local function read_whole(answer, request)
    local body, err = "", nil
    if answer.has_body then
        body, err = answer:read_body()
    end
    if not body then
        upstream.close(answer)
        return failure(err == "timeout" and "timeout" or "reset", err)
    end
    upstream.release(answer)

    return {
        reason = verdict.reason(answer.status, body, #request.references > 0),
        status = answer.status,
        headers = answer.headers,
        body = body,
    }
end

local function attempt(pool, backend, deployment, request)
    local message_headers = headers.to_backend(request.headers)
    -- The gateway reads bodies (usage, error codes); compressed ones it could not.
    message_headers["accept-encoding"] = nil
    local ok, credential_err = credentials.add(message_headers, backend)
    if not ok then
        return failure("identity", credential_err)
    end

    if request.is_upgrade then
        websocket.add_handshake(message_headers, request.headers)
    end

    local target, body = request_module.for_deployment(request, deployment)
    if body then
        message_headers["content-length"] = body.size
    end
    local answer, reason, err = upstream.send(pool, backend, {
        method = request.method,
        target = target,
        headers = message_headers,
        body = body,
    })
    if not answer then
        return failure(reason, err)
    end
    if answer.status == 101 then
        if request.is_upgrade then
            return { status = answer.status, headers = answer.headers, tunnel = answer }
        end
        upstream.close(answer)
        return failure("reset", "it switches protocols, which nobody asked for")
    end
    if is_buffered(request, answer) then
        return read_whole(answer, request)
    end
    if media_type(answer) == "text/event-stream" then
        return event_stream.open(pool, answer)
    end
    return { status = answer.status, headers = answer.headers, connection = answer }
end

local function timed_attempt(state, pool, backend, deployment, is_trial, request)
    local started = ngx_now()
    state.under_way = { backend = backend, started = started }
    -- The log phase gives the trial back if the client leaves before the outcome is known.
    state.pending = is_trial and { backend = backend, deployment = deployment } or nil
    local outcome = attempt(pool, backend, deployment, request)
    state.pending, state.under_way = nil, nil

    outcome.backend, outcome.deployment = backend, deployment
    -- A region that is not configured is learned.
    local region = outcome.headers and outcome.headers["x-ms-region"]
    backend.region = backend.region or (type(region) == "string" and region or nil)
    outcome.seconds = ngx_now() - started
    lessons.learn(pool, backend, deployment, outcome)
    state.trail[#state.trail + 1] = {
        backend = backend.name,
        region = backend.region,
        status = outcome.status or outcome.reason,
        reason = outcome.reason,
        started = started,
        seconds = outcome.seconds,
    }
    return outcome
end

-- One pass over the candidates that are not in `tried`. Returns the answer for the client, or nil and whether trying
-- again makes no sense.
local function try_candidates(ctx, state, pool, request, tried, failures)
    local limit = pool.failover.max_attempts or math_huge
    while #state.trail < limit do
        local backend, deployment, is_trial = balancer.next(ctx, pool, request, tried)
        if not backend then
            return nil
        end

        local outcome = timed_attempt(state, pool, backend, deployment, is_trial, request)
        if not outcome.reason then
            return outcome
        end

        failures[#failures + 1] = outcome
        if outcome.reason == "not_found" then
            -- Whoever was thought to own it does not: from here on everybody may.
            request.owner = nil
        end
        if outcome.seconds * 1000 > pool.failover.retry_within_ms then
            return nil, true
        end
    end
    return nil, true
end

-- Holds the request while a candidate rests that recovers soon, and tries those that had to rest. Whoever failed
-- without having to has had its attempt.
local function try_after_rest(ctx, state, pool, request, tried, failures)
    local seconds, resting = final_answer.worthwhile_wait(pool, request)
    if not seconds then
        return nil
    end
    ngx.sleep(seconds)
    for _, name in ipairs(resting) do
        tried[name] = nil
    end
    return (try_candidates(ctx, state, pool, request, tried, failures))
end

local function abort()
    ngx.ctx.api_ctx.azure_openai.error = "client_gone"
    ngx.exit(499)
end

--- Runs a request against the pool.
-- @param ctx table request context; `ctx.azure_openai` gets the attempt trail and the winner
-- @param pool table
-- @param request table from `request.read`
-- @return table answer
function _M.run(ctx, pool, request)
    local state = ctx.azure_openai
    local failures = {}
    request.references = ownership.references(request)
    request.owner = ownership.owner(pool, request.references)
    request.home = ownership.is_homed(request.operation) and pool.home or nil
    -- A client that leaves ends its request at once, upstream connection included.
    ngx.on_abort(abort)

    local tried = {}
    local answer, is_final = try_candidates(ctx, state, pool, request, tried, failures)
    if not answer and not is_final then
        answer = try_after_rest(ctx, state, pool, request, tried, failures)
    end

    if not answer then
        state.exhausted = true
        answer = final_answer.compose(pool, request, failures)
        local last = failures[#failures]
        state.failure = answer.status == 429 and "throttled" or last and last.reason or "unavailable"
        return answer
    end
    state.winner = answer.backend
    -- What APISIX's own metrics and logs call the node.
    ctx.balancer_ip = answer.backend.name
    ownership.learn(request, answer)
    return answer
end

return _M
