--- Everything that one request carries through the bundle, from the first phase to its record.
--
-- `azure-openai-gateway` creates it in its rewrite phase as `ctx.azure_openai`. Each field stands below the heading of
-- its writer; later phases and rooms read it. One field has a second writer: when the client has left, accounting
-- moves `attempt` to the trail. Times are seconds since the epoch.
--
-- Beside it, flags of the request context say who gives an error its shape: `ctx.azure_openai_shaped` (the answer has
-- the client's shape already), `ctx.azure_openai_reshape` (azure-openai-gateway replaces a stock error page) and
-- `ctx.azure_openai_reads_body` (nginx reads the body; an error of its own means that there is no room).

---@class RequestState
--- Rewrite phase, azure-openai-gateway and azure-openai-auth:
---@field request_id string the client's own id, or one of nginx
---@field started_at number when nginx read the request line
---@field client table|nil the client's configuration; nil when authentication is off
--- Access phase, azure-openai-gateway:
---@field pool table the configuration of this request (routing/pool.lua); a reload does not change it
---@field request table what the client wants (request/reading.lua); the driver of ai-proxy-multi replaces it with the
---  request as it goes to backends
---@field lane string "high" or "low"
---@field buckets table list of the limits to charge afterwards (account/limits.lua)
--- exchange:
---@field attempt Attempt|nil the attempt that is under way
---@field trail TrailEntry[] the attempts that are over
---@field winner table|nil the backend whose answer the client gets
---@field answered_id string|nil id of the stored resource that the answer is
---@field is_exhausted boolean|nil no backend could serve the request
---@field failure string|nil then: "throttled" for a 429, else the reason of the last failure, or "unavailable" when no
---  backend was asked
--- answer room:
---@field backend_request_id string|nil the backend's own id of the request
---@field is_stream boolean|nil the answer is an event stream or a tunnel
---@field first_output_at number|nil when the first output arrived
---@field sent_events number|nil how many events the client got
--- account room:
---@field usage Usage|nil tokens, reported or estimated (account/usage.lua)
---@field usage_source UsageSource|nil the stored response that reports the usage
---@field model string|nil the model that answered, as the backend reports it
---@field cost_usd number|nil
--- Wherever a request ends early:
---@field error string|nil "client_gone", "stream_interrupted", "answer_interrupted", "tunnel_broken", or why the
---  gateway refused the request

--- One try at one backend, while it runs.
---@class Attempt
---@field backend table
---@field deployment string the backend's own name for the deployment, or the kind of stored resource
---@field is_trial boolean whether it is the one trial of a half-open breaker
---@field started_at number

--- What an attempt came to. The client never sees it.
---@class Outcome
---@field reason string|nil why it failed (outcome/outcomes.lua); nil when it succeeded
---@field err string|nil details for the log
---@field status number|nil HTTP status; nil when no answer came
---@field headers table|nil
---@field body string|nil the body of a failed answer
---@field seconds number how long the attempt took
---@field answer Answer|nil only of a success

--- What the client gets. Its body is one of `body`, `event_stream`, `connection` and `tunnel`.
---@class Answer
---@field status number
---@field headers table name -> value or list of values
---@field backend table|nil the backend that served; nil for a failure, also when a backend's own error is passed on
---@field deployment string|nil the backend's own name for it
---@field body string|nil
---@field event_stream table|nil a probed stream (answer/event_stream.lua)
---@field connection table|nil a body of any size that is passed on as it is read (attempt/upstream.lua)
---@field beginning string|nil beside `connection`: the first piece of a JSON document
---@field tunnel table|nil an upgraded connection

--- One attempt in the record, in traces and in `x-gateway-attempts`.
---@class TrailEntry
---@field backend string name
---@field region string|nil
---@field status number|string HTTP status; without one the reason, or why the attempt ended early ("client_gone",
---  "interrupted")
---@field reason string|nil why the attempt failed
---@field started_at number
---@field seconds number

local ngx = ngx

local _M = {}

--- Creates the state of the current request.
-- @param ctx table request context; gets `azure_openai`
-- @param request_id string
-- @return RequestState
function _M.create(ctx, request_id)
    ctx.azure_openai = {
        request_id = request_id,
        started_at = ngx.req.start_time(),
        trail = {},
        buckets = {},
    }
    return ctx.azure_openai
end

return _M
