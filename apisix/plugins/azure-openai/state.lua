--- Everything that one request carries through the bundle, from the first phase to its record.
--
-- `azure-openai-gateway` creates it in its rewrite phase as `ctx.azure_openai`. Each field stands below the heading of
-- its writer, and says who reads it. Two fields have a second writer: when the client has left, accounting
-- moves `attempt` to the trail; and azure-openai-test-headers takes its own argument out of `target`. Times are seconds
-- since the epoch.
--
-- Beside it, flags of the request context say who gives an error its shape: `ctx.azure_openai_shaped` (the answer has
-- the client's shape already), `ctx.azure_openai_reshape` (azure-openai-gateway replaces a stock error page) and
-- `ctx.azure_openai_reads_body` (nginx reads the body; an error of its own means that there is no room). And
-- `ctx.azure_openai_trace` and `ctx.azure_openai_telemetry` are the trace of the request and the settings for it
-- (account/tracing.lua); requests without a state have them too.

---@class RequestState
--- Rewrite phase, azure-openai-gateway and azure-openai-auth:
---@field request_id string the client's own id, or one of nginx; read by account
---@field started_at number when nginx read the request line; read by account
---@field target string path and query, without the prefix of a test route; read by the access phase
---@field surface Surface|nil of that path (base/surfaces.lua), nil when it is not plain; read by base/errors
---@field client table|nil the client's configuration, nil when authentication is off; read by every later writer
---@field ephemeral_key EphemeralKey|nil with which it came (routing/ephemeral_keys.lua); read by the access phase
--- Access phase, azure-openai-gateway:
---@field pool Pool the configuration of this request, which a reload does not change; read by exchange, answer, account
---@field request Request what the client wants; the driver of ai-proxy-multi replaces it with the request as it goes to
---  backends; read by every later writer
---@field lane string "high" or "low"; read by account
---@field buckets table list of the limits to charge afterwards (account/limits.lua); read by account
---@field budget_notice string|nil what to tell a client of whose budgets little is left; read by the header filter
--- exchange:
---@field attempt Attempt|nil the attempt that is under way; read by account
---@field trail TrailEntry[] the attempts that are over; read by answer, account
---@field waited_seconds number|nil how long the request was held until a backend had quota again; read by account
---@field failures Outcome[]|nil the failed attempts at the deployment that is tried; read by outcome
---@field served_deployment string|nil the fallback that served in place of the request's deployment; read by answer,
---  account
---@field winner Backend|nil the backend whose answer the client gets; read by answer, account
---@field left Backend|nil the backend that was at work when the client left before the answer; read by account
---@field answered_id string|nil id of the stored resource that the answer is; read by account
---@field answered_in string|nil the thread of a run, when the answer names it; read by account
---@field is_exhausted boolean|nil no backend could serve the request for want of capacity or health; read by account
---@field failure string|nil when no backend served: "throttled" for a 429, else the reason of the last failure, or
---  "unavailable" when no backend was asked; of a stream that reports a failure after it began: "throttled" or
---  "server_error"; read by account
--- answer room:
---@field backend_request_id string|nil the backend's own id of the request; read by account
---@field is_stream boolean|nil the answer is an event stream or a tunnel; read by account
---@field first_output_at number|nil when the first output arrived; read by account
---@field sent_events number|nil how many events the client got; read by account
--- account room, which alone reads it:
---@field written_tokens number|nil about how many tokens the deltas of a message have held so far
---@field usage Usage|nil tokens, reported or estimated (account/usage.lua)
---@field usage_source UsageSource|nil the stored response that reports the usage
---@field model string|nil the model that answered, as the backend reports it
---@field cost_usd number|nil
---@field is_followed boolean|nil the gateway asks for the usage of a response that is made in the background
---@field left Backend|nil the backend that was asked when the client left
---@field charged table|nil { tokens, cost_usd } that the limits have been charged with already
--- Wherever a request ends early:
---@field error EarlyEnd|string|nil an early end, or why the gateway refused the request; read by account

--- How a request that has reached a backend can end early.
---@alias EarlyEnd "client_gone"|"stream_interrupted"|"answer_interrupted"|"tunnel_broken"

--- What a client wants (request/reading.lua).
---@class Request
---@field method string
---@field is_bodyless boolean HTTP gives its body no meaning
---@field target string path and query, without credentials
---@field headers table<string, string|string[]> the client's
---@field surface Surface (base/surfaces.lua)
---@field kind string the part of the surface (request/surface.lua)
---@field operation string for example "chat/completions"
---@field deployment string the client's name for it; "" for none
---@field deployment_place table|nil where the body names it
---@field ambiguous string|nil what backends may read in two ways
---@field resource string kind of stored resource
---@field operation string what the request does, one of a fixed list (request/operations.lua)
---@field body table|nil text, or the file that nginx wrote (request/body.lua)
---@field facts Facts|nil of a JSON object (request/json_facts.lua)
---@field form_references string[] ids of stored resources in a form
---@field is_unread boolean the gateway cannot read what the body refers to: it is neither JSON nor a plain form
---@field json_fault string|nil what is wrong with a JSON body
---@field has_other_type boolean whether there is a body that its Content-Type does not call JSON
---@field is_upgrade boolean the client asks for a WebSocket
---@field ephemeral_key EphemeralKey|nil the call goes to its backend, with it
---@field edit table|nil what is changed in the body for backends
---@field hides_usage boolean|nil the client must not see the usage chunk
---@field as_sent Request|nil the same with the client's own bytes, when the gateway asks for the usage

--- One Azure OpenAI or Foundry resource (routing/pool.lua). A reload makes new ones.
---@class Backend
---@field name string
---@field scheme string "http" or "https"
---@field host string
---@field port number
---@field weight number 0 drains it
---@field priority number higher ones first
---@field region string|nil as configured; routing/regions.lua knows the one that the backend itself reports
---@field surfaces table<string, boolean> the names of those that it offers
---@field deployments table<string, string>|nil the client's name -> the backend's; nil when it serves all
---@field own_names table<string, boolean>|nil the backend's names in `deployments`
---@field token_limits table<string, number> tokens a minute, by its names of deployments whose answers do not say so
---@field test_limits table<string, table<string, number>>|nil in a pool for tests: by "tokens" or "requests", and name
---@field auth string "key" or "managed-identity"
---@field key string|nil
---@field client_id string|nil of the managed identity
---@field provisioned_usd_per_hour number|nil what its provisioned throughput costs; nil when it is paid by tokens
---@field token_scopes table<string, string> of tokens for a surface, by its name
---@field fingerprint number changes with endpoint or credential
---@field credential_variable string the setting that an operator has to correct when the credential is refused

--- The configuration that a request sees (routing/pool.lua).
---@class Pool
---@field name string "" for the pool of all backends
---@field is_part boolean|nil whether it is a pool for tests
---@field parts table<string, Pool> the pools for tests, by name; each has some of the backends
---@field backends Backend[] in the order of the settings
---@field by_name table<string, Backend>
---@field groups table[] backends of one priority each, the highest first
---@field drained table backends of weight 0
---@field homes table<string, Backend> for files, batches and what refers to them, by the name of the surface
---@field balancer table
---@field keeps_prompt_caches boolean whether conversations shall meet the same backend again
---@field failover table limits, cool-downs and breakers; times in the unit that the name says
---@field expose_backend_headers boolean
---@field ssl_verify boolean
---@field stored_resources string "private", "strict" or "shared"
---@field limits table|nil
---@field fallbacks table<string, string[]> what takes the place of a deployment that nobody can serve
---@field pricing table|nil prices in USD by model (account/prices.lua)
---@field telemetry table|nil where records and traces go: { collector_endpoint (base URL), service_name, sample_rate
---  (0 to 1), slow_first_token_ms }; nil without a collector

--- Where a request may go (routing/ownership.lua).
---@class Plan
---@field surface Surface
---@field deployment string
---@field resource string
---@field operation string what the request does, one of a fixed list (request/operations.lua)
---@field size number tokens that it may take (request/size.lua)
---@field pace string|nil the kind of answer whose times are compared (routing/speeds.lua)
---@field kind number|nil what conversations that begin alike have in common (request/beginnings.lua); nil when it does
---  not matter
---@field conversation string|nil what only the requests of one conversation have in common; nil with `kind`
---@field references string[] ids that the request refers to
---@field owner Backend|nil the backend that holds one of them
---@field items Item[] what the client sends again (request/replayed_items.lua)
---@field maker Backend|nil the backend that made them: it is asked first, and others when it cannot serve
---@field home Backend|nil for what has no owner yet
---@field policy string as `stored_resources` of the pool
---@field client string the client that a new resource belongs to; "" for everybody
---@field caller string the client itself, where a group owns what it makes; "" for everybody
---@field names table<string, boolean> the clients whose resources this client may use
---@field ids string[] the references, and further ids in path and query
---@field named table<string, boolean>|nil all ids that the request names (routing/resource_lessons.lua)
---@field records table<number, ResourceRecord> what is known of `ids`
---@field fault string|nil why the client may not go on: "not_found" (it may not use the resource `fault_id`), "unsure"
---  (Redis cannot say whose that is) or "unreadable" (nobody can say what the request refers to)
---@field fault_id string|nil

--- One try at one backend, while it runs.
---@class Attempt
---@field backend Backend
---@field deployment string the backend's own name for the deployment, or the kind of stored resource
---@field operation string what the request does, one of a fixed list (request/operations.lua)
---@field is_inference boolean whether it makes a model work
---@field size number tokens that the request may take (request/size.lua)
---@field pace string|nil the kind of answer that its time to first output counts for; nil when it does not count
---@field is_trial boolean whether it finds out if a breaker can close or a cool-down is over
---@field is_override boolean whether it goes past open breakers, since nobody else is left
---@field started_at number
---@field is_repeat boolean|nil whether it follows one whose connection had died while it was idle
---@field connect_timeout_ms number|nil how long it may take to connect; nil for the usual time
---@field target string|nil path and query that the backend was asked for, once it was
---@field is_as_sent boolean|nil whether the backend gets the client's own bytes, because it does not report usage

--- What an attempt came to. The client never sees it.
---@class Outcome
---@field reason string|nil why it failed (outcome/outcomes.lua); nil when it succeeded
---@field err string|nil details for the log
---@field is_unfounded boolean|nil the backend misses what the request does not refer to
---@field is_stale boolean|nil the connection had died while it was idle, so the backend has done nothing
---@field status number|nil HTTP status; nil when no answer came
---@field headers table|nil
---@field body string|nil the body of a failed answer
---@field seconds number how long the attempt took
---@field attempt Attempt
---@field entry TrailEntry of the attempt
---@field answer Answer|nil only of a success

--- What the client gets. Its body is one of `body`, `problem`, `event_stream`, `connection` and `tunnel`.
---@class Answer
---@field status number
---@field headers table name -> value or list of values
---@field backend Backend|nil the backend that served; nil for a failure, also when a backend's own error is passed on
---@field deployment string|nil the backend's own name for it
---@field exchange RequestState|nil beside `backend`: the request that it answers
---@field attempt Attempt|nil beside `backend`: the one that it came from
---@field body string|nil
---@field problem Problem|nil in place of a body: the gateway's own words, in the shape that the relay gives them
---@field event_stream table|nil a probed stream (answer/event_stream.lua)
---@field connection table|nil a body of any size that is passed on as it is read (attempt/upstream.lua)
---@field beginning string|nil beside `connection`: the first piece of a JSON document
---@field tunnel table|nil an upgraded connection
---@field upgrade string|nil the protocol for the header of that name

--- One attempt in the record, in traces and in `x-gateway-attempts`.
---@class TrailEntry
---@field backend string name
---@field server Backend
---@field target string|nil path and query that it was asked for; nil when nothing was sent
---@field region string|nil
---@field status number|string HTTP status; without one the reason, or why the attempt ended early ("client_gone",
---  "interrupted")
---@field reason string|nil why the attempt failed
---@field started_at number
---@field seconds number

local new_table = require("table.new")

local ngx = ngx

-- So many fields a request gets at most; LuaJIT doubles a table when it is full, and moves all that is in it.
local MOST_FIELDS = 32

local _M = {}

--- Creates the state of the current request.
-- @param ctx table request context; gets `azure_openai`
-- @param request_id string
-- @return RequestState
function _M.create(ctx, request_id)
    local state = new_table(0, MOST_FIELDS)
    state.request_id, state.started_at = request_id, ngx.req.start_time()
    state.trail, state.buckets = {}, {}
    ctx.azure_openai = state
    return state
end

return _M
