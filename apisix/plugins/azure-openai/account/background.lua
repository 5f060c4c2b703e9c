--- Counts what responses use that a model makes in the background, after their request has ended.
--
-- A client need not read such a response itself: its text also stands in the items of its conversation. So the gateway
-- asks for it until it is done. Reads of the client that come first count instead.
local core = require("apisix.core")
local limits = require("apisix.plugins.azure-openai.account.limits")
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local prices = require("apisix.plugins.azure-openai.account.prices")
local usage_module = require("apisix.plugins.azure-openai.account.usage")
local usage_reports = require("apisix.plugins.azure-openai.account.usage_reports")
local dispatch = require("apisix.plugins.azure-openai.attempt.dispatch")
local json_members = require("apisix.plugins.azure-openai.base.json_members")
local operations = require("apisix.plugins.azure-openai.request.operations")

local ngx = ngx
local pcall = pcall
local math_min = math.min

-- The pauses double. After all of them, some three hours, the response counts as lost.
local FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, MOST_QUESTIONS = 3, 300, 40
-- In a worker, so that they take a bounded part of its timers and of the backends' time.
local MOST_RESPONSES = 200
local LARGEST_BYTES = 8 * 1024 * 1024

local RESOURCE = "/responses"
local RUNNING = { queued = true, in_progress = true }

local _M = {}

local followed = 0

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
    account.cost_usd = prices.cost(account.pool.pricing, model, account.request.deployment, usage)
    limits.charge(account.buckets, usage.total)
    metrics.count_later_usage(account)
end

-- Whether there is nothing more to learn. Counts the usage when it is there for the first time.
local function is_settled(job)
    local request = { method = "GET", target = job.target, headers = {}, deployment = "" }
    local status, body =
        dispatch.fetch(job.account.pool, job.account.winner, RESOURCE, request, LARGEST_BYTES)
    if not status or status >= 500 or status == 429 or not body then
        return false
    end
    local usage, model = usage_module.of_body(body)
    if not usage then
        return status ~= 200 or not RUNNING[json_members.decode(body, { status = true }).status]
    end
    if usage_reports.is_first_report(job.id) then
        count(job.account, usage, model)
    end
    return true
end

local function follow(premature, job)
    if premature then
        return
    end
    job.questions = job.questions + 1
    local ok, is_over = pcall(is_settled, job)
    if not ok then
        core.log.error("azure-openai: cannot follow a background response: ", is_over)
    end
    if (ok and is_over) or job.questions == MOST_QUESTIONS then
        followed = followed - 1
        return
    end
    job.pause_seconds = math_min(job.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
    if not ngx.timer.at(job.pause_seconds, follow, job) then
        followed = followed - 1
    end
end

-- "/openai/v1/responses?a=1", "resp_1" -> "/openai/v1/responses/resp_1?a=1"
local function target_of(request, id)
    local path, query = request.target:match("^([^?]*)(.*)$")
    return path .. "/" .. ngx.escape_uri(id) .. query
end

--- Asks for a response until it has reported its usage, and counts that.
-- @param state RequestState of the request that has made it; see `is_left_behind`
-- @return boolean false when too many responses are followed already
function _M.follow(state)
    if followed >= MOST_RESPONSES then
        return false
    end
    local job = {
        id = state.answered_id,
        target = target_of(state.request, state.answered_id),
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
    followed = followed + 1
    return true
end

return _M
