--- Asks one backend and judges what comes back. Whatever can still fail over is read before anything is sent.
local event_stream = require("apisix.plugins.azure-openai.answer.event_stream")
local dispatch = require("apisix.plugins.azure-openai.attempt.dispatch")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local errors = require("apisix.plugins.azure-openai.base.errors")
local error_codes = require("apisix.plugins.azure-openai.outcome.error_codes")
local not_switched = require("apisix.plugins.azure-openai.outcome.not_switched")
local verdict = require("apisix.plugins.azure-openai.outcome.verdict")
local json_facts = require("apisix.plugins.azure-openai.request.json_facts")
local operations = require("apisix.plugins.azure-openai.request.operations")
local references = require("apisix.plugins.azure-openai.request.references")
local new_table = require("table.new")

local next = next
local tostring = tostring
local type = type

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

-- An Outcome or an Answer gets so many fields.
local MOST_FIELDS = 8

-- A successful outcome; `form` is the field of an Answer that holds the body.
local function success(response, form, body)
    local outcome, answer = new_table(0, MOST_FIELDS), new_table(0, MOST_FIELDS)
    outcome.status, outcome.headers, outcome.answer = response.status, response.headers, answer
    answer.status, answer.headers, answer[form] = response.status, response.headers, body
    return outcome
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
    local outcome = success(response, "connection", response)
    outcome.answer.beginning = beginning
    return outcome
end

local TOO_LARGE_ERROR = "The backend's error has more than " .. LARGEST_ERROR_BYTES .. " bytes."
local GARBLED_ERROR = "The backend's error cannot be unpacked."
local CUT_ERROR = "The backend's error was cut short."

-- What stands for the body of an error that cannot be read.
local function own_words(response, message, request)
    upstream.close(response)
    response.headers["content-type"], response.headers["content-encoding"] = "application/json", nil
    return errors.text(response.status, { message = message }, request.surface)
end

-- Reads a body that may be missing.
local function body_of(response, limit_bytes)
    if not response.body then
        return ""
    end
    return response.body:read_whole(limit_bytes)
end

-- Whether a document has nothing beside an error.
local function is_only_an_error(document)
    if document.type == "error" then
        return type(document.error) == "table"
    end
    return next(document, (next(document))) == nil
end

-- An error in place of an answer, inside of a 200: the outcome that the status should have told; nil when it is none.
local function hidden_failure(response, body, request)
    if
        response.status ~= 200
        or not (body:find('^%s*{%s*"error"%s*:%s*{') or body:find('^%s*{%s*"type"%s*:%s*"error"'))
        or not operations.is_inference(request)
    then
        return nil
    end
    local decoded = bounded_json.decode(body)
    if type(decoded) ~= "table" or not is_only_an_error(decoded) then
        return nil
    end
    local meaning = error_codes.meaning(decoded.error)
    if meaning == "throttled" or meaning == "server_error" or meaning == "not_found" then
        return error_codes.outcome(response.headers, meaning, decoded.error, request.surface)
    end
    return nil
end

-- Whether an answer is about the client's own key.
local function is_about_clients_key(response, request)
    return request.ephemeral_key ~= nil and (response.status == 401 or response.status == 403)
end

-- What a body that was read whole says of its attempt.
local function judged(response, body, request, plan)
    local reason = verdict.reason(response.status, body, #plan.references + #plan.items > 0)
    if reason and not is_about_clients_key(response, request) then
        return { reason = reason, status = response.status, headers = response.headers, body = body }
    end
    return success(response, "body", body)
end

-- Reads an error to its end.
local function read_error(response, request, plan)
    local body, err = body_of(response, LARGEST_ERROR_BYTES)
    if body then
        upstream.release(response)
        return judged(response, body, request, plan)
    end
    if err == "too large" or response.body.is_garbled then
        local message = response.body.is_garbled and GARBLED_ERROR or TOO_LARGE_ERROR
        return judged(response, own_words(response, message, request), request, plan)
    end
    local outcome = judged(response, own_words(response, CUT_ERROR, request), request, plan)
    -- Some statuses say enough. The client gets no error of which a part is missing.
    return outcome.reason and outcome or broken_off(response, err)
end

-- Reads a JSON answer to its end, so a connection that breaks in the middle can still fail over.
local function read_whole(response, request, plan)
    local body, err = body_of(response, LARGEST_WHOLE_BYTES)
    if err == "too large" then
        return pass_on(response)
    end
    if not body then
        return broken_off(response, err)
    end
    upstream.release(response)
    return hidden_failure(response, body, request) or judged(response, body, request, plan)
end

-- Any other answer is passed on as it arrives. Until its beginning is there it can still fail over.
local function open_body(pool, response, request)
    local beginning, err = response.body:beginning(SMALL_BYTES, pool.failover.stream_probe_ms / 1000)
    local is_empty = not beginning and response.body:ends_with_connection()
    if err or (is_empty and operations.is_inference(request)) then
        return broken_off(response, err or "the connection ended where the answer should begin")
    end
    return success(response, "connection", response)
end

local function open_stream(pool, response, request)
    local stream, failed = event_stream.open(pool, response, request)
    return failed or success(response, "event_stream", stream)
end

-- How to read a 200 with a body: "document", "stream" or "other".
local function form_of(response, request)
    local kind = media_type(response)
    if kind == "text/event-stream" then
        return "stream"
    end
    if json_facts.is_true(request.facts, "stream") then
        -- Its type may be wrong or missing; its first byte tells.
        local beginning, err = response.body:beginning(0, 0)
        local is_document = beginning and beginning:find("^%s*[{%[]")
        return is_document and "document" or "stream", err
    end
    return kind == "application/json" and "document" or "other"
end

local READABLE = { identity = true, [""] = true }

-- An encoding that nobody asked for. Gzip has been taken off already.
local function is_unreadable(response)
    local encoding = response.headers["content-encoding"]
    return encoding ~= nil and not READABLE[tostring(encoding):lower()]
end

local function read_success(pool, response, request, plan)
    if not response.body then
        return read_whole(response, request, plan)
    end
    local form, err = form_of(response, request)
    if err then
        return broken_off(response, err)
    end
    if form == "other" then
        return open_body(pool, response, request)
    end
    if is_unreadable(response) then
        return broken_off(response, "an encoding that nobody asked for")
    end
    if form == "stream" then
        return open_stream(pool, response, request)
    end
    return read_whole(response, request, plan)
end

-- A client that follows a backend's redirect would take its key there.
local function redirected(response)
    upstream.close(response)
    return { reason = "redirect", status = response.status, headers = {}, err = "it redirects" }
end

-- A backend that misses what a request does not refer to is broken.
local function checked(outcome, request)
    if outcome.reason == "not_found" and references.has_none(request) then
        outcome.reason, outcome.is_unfounded = "server_error", true
    end
    return outcome
end

--- Asks one backend, and reads as much of its answer as it takes to judge it.
-- @param pool table
-- @param attempt Attempt
-- @param request table from `reading.read`
-- @param plan table from `ownership.plan`
-- @return Outcome without the time that it took
function _M.ask(pool, attempt, request, plan)
    local response, reason, err, is_stale = dispatch.send(pool, attempt, request)
    if not response then
        return { reason = reason, err = err, is_stale = is_stale }
    end
    local status = response.status
    if status == 101 then
        if request.is_upgrade then
            return success(response, "tunnel", response)
        end
        upstream.close(response)
        return failure("reset", "it switches protocols, but the client did not ask for that")
    end
    if not_switched.is_told_by(request, status) then
        upstream.close(response)
        return { reason = "not_found", status = status, headers = {}, body = "" }
    end
    if status >= 400 then
        return checked(read_error(response, request, plan), request)
    end
    if status >= 300 and status ~= 304 then
        return redirected(response)
    end
    return checked(read_success(pool, response, request, plan), request)
end

return _M
