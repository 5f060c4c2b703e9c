--- Counts what responses and runs use on which a model works in the background, after their request has ended.
--
-- A client need not read such a response itself: its text also stands in the items of its conversation, or the messages
-- of its thread. So the gateway asks for it until it is done. Reads of the client that come first count instead. What
-- ends without a usage (cancelled, deleted, lost) is charged the estimate of its prompt.
local core = require("apisix.core")
local followers = require("apisix.plugins.azure-openai.account.followers")
local limits = require("apisix.plugins.azure-openai.account.limits")
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local prices = require("apisix.plugins.azure-openai.account.prices")
local usage_module = require("apisix.plugins.azure-openai.account.usage")
local usage_reports = require("apisix.plugins.azure-openai.account.usage_reports")
local surfaces = require("apisix.plugins.azure-openai.base.surfaces")
local dispatch = require("apisix.plugins.azure-openai.attempt.dispatch")
local json_members = require("apisix.plugins.azure-openai.base.json_members")
local operations = require("apisix.plugins.azure-openai.request.operations")
local query = require("apisix.plugins.azure-openai.request.query")
local size = require("apisix.plugins.azure-openai.request.size")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")

local ngx = ngx
local pcall = pcall
local math_min = math.min

-- The pauses double. After all of them, some three hours, the response counts as lost.
local FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, MOST_QUESTIONS = 3, 300, 40
local LARGEST_BYTES = 8 * 1024 * 1024

local RESPONSES = "/responses"
local RUNNING = { queued = true, in_progress = true, requires_action = true, cancelling = true }

local _M = {}

--- Whether a request has left a response behind that has not reported its usage.
-- @param state RequestState
-- @return boolean
function _M.is_left_behind(state)
    if not state.answered_id or state.usage then
        return false
    end
    return operations.is_background(state.request)
end

local function count(account, usage, model)
    account.usage, account.model = usage, model
    local deployment = account.served_deployment or account.request.deployment
    account.cost_usd = prices.cost(account.pool.pricing, account.winner, model, deployment, usage)
    limits.charge(account, usage.total, account.cost_usd or 0)
    metrics.count_later_usage(account)
end

local function read(pool, backend, resource, target)
    local request =
        { method = "GET", target = target, headers = {}, deployment = "", surface = surfaces.OPENAI }
    return dispatch.fetch(pool, backend, resource, request, LARGEST_BYTES)
end

-- Asks once. Returns whether there is nothing more to learn, and what was learned.
local function ask(job)
    local account = job.account
    local status, body = read(account.pool, account.winner, job.resource, job.target)
    if not status or status >= 500 or status == 429 or not body then
        return false
    end
    local usage, model = usage_module.of_body(body)
    local is_over = usage ~= nil
        or status ~= 200
        or not RUNNING[json_members.decode(body, { status = true }).status]
    return is_over, usage, model
end

local function settle(job, usage, model)
    followers.finish(job.account.client)
    if usage_reports.is_first_report(job.id) then
        count(job.account, usage or usage_module.estimate(job.prompt_tokens, 0), model)
    end
end

local function follow(premature, job)
    if premature then
        return
    end
    job.questions = job.questions + 1
    local ok, is_over, usage, model = pcall(ask, job)
    if not ok then
        core.log.error("azure-openai: cannot follow a background response: ", is_over)
    end
    if (ok and is_over) or job.questions == MOST_QUESTIONS then
        return settle(job, ok and usage or nil, model)
    end
    job.pause_seconds = math_min(job.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
    if not ngx.timer.at(job.pause_seconds, follow, job) then
        settle(job)
    end
end

-- The target of a question of the gateway's own. Of the client's query it has the version only: any other argument
-- could make the answer one that the gateway does not read, a stream for example.
local function question(request, path)
    local version = query.values(request.target, "api-version")[1]
    return version and query.set(path, "api-version", version) or path
end

-- "/openai/v1/responses?a=1", "resp_1" -> "/openai/v1/responses/resp_1". A run that has made its thread is found below
-- that thread; nil when nobody knows the thread.
local function target_of(state)
    local request, thread = state.request, state.answered_in
    local path, id = request.target:match("^[^?]*"), ngx.escape_uri(state.answered_id)
    if request.operation:lower() ~= "threads/runs" then
        return question(request, path .. "/" .. id)
    end
    return thread
        and question(request, path:sub(1, -#"/runs" - 1) .. "/" .. ngx.escape_uri(thread) .. "/runs/" .. id)
end

--- Reads a response that its client is about to delete, as the client could have done. Else nobody could ask for its
--- usage any more.
-- @param state RequestState gets usage, usage_source and model
function _M.read_before_deletion(state)
    local request = state.request
    local id = request.resource == RESPONSES and request.operation:match("^[^/]+/([^/]+)$")
    if not id or request.method ~= "DELETE" or usage_reports.is_reported(id) then
        return
    end
    local plan = ownership.plan(state.pool, request, state.client)
    if plan.fault or not plan.owner then
        return
    end
    local target = question(request, request.target:match("^[^?]*"))
    local status, body = read(state.pool, plan.owner, request.resource, target)
    if status == 200 and body then
        state.usage, state.model, state.usage_source = usage_module.of_body(body)
    end
end

--- Asks for a response or a run until it has reported its usage, and counts that.
-- @param state RequestState of the request that has made it; see `is_left_behind`
-- @return boolean false when too many of its client's are followed already, or nobody knows where it is
function _M.follow(state)
    local target = target_of(state)
    if not target or not followers.have_room(state.client) then
        return false
    end
    local job = {
        id = state.answered_id,
        resource = state.request.resource,
        target = target,
        prompt_tokens = size.prompt(state.request),
        pause_seconds = FIRST_PAUSE_SECONDS,
        questions = 0,
        account = {
            pool = state.pool,
            request = { deployment = state.request.deployment },
            client = state.client,
            winner = state.winner,
            buckets = state.buckets,
        },
    }
    if not ngx.timer.at(job.pause_seconds, follow, job) then
        return false
    end
    followers.begin(state.client)
    usage_reports.note_deployment(job.id, state.request.deployment)
    return true
end

return _M
