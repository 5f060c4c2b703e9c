--- What the errors of backends say, by tables. The code of an error decides; its text only where no code does, since it
--- may quote anything.
--
-- `meaning` is about errors inside of a 200, in a stream or in a body. `place` is about a 400 or 404 that another
-- backend may not give.
local core = require("apisix.core")
local errors = require("apisix.plugins.azure-openai.base.errors")

local ngx = ngx
local ipairs = ipairs
local tonumber = tonumber
local tostring = tostring
local type = type
local has_prefix = core.string.has_prefix
local has_suffix = core.string.has_suffix

local THROTTLED, SERVER_ERROR, OF_REQUEST, UNKNOWN = "throttled", "server_error", "of_request", "unknown"

-- By code or type, in lower case. Sources: ResponseErrorCode in OpenAI's API, Azure's error pages, SDK issue threads.
local MEANINGS = {
    rate_limit_exceeded = THROTTLED,
    rate_limit_error = THROTTLED,
    rate_limited = THROTTLED,
    ratelimitreached = THROTTLED,
    too_many_requests = THROTTLED,
    toomanyrequests = THROTTLED,
    insufficient_quota = THROTTLED,
    quota_exceeded = THROTTLED,
    quotaexceeded = THROTTLED,
    overloaded_error = THROTTLED,
    engine_overloaded = THROTTLED,
    model_overloaded = THROTTLED,
    no_capacity = THROTTLED,
    nocapacity = THROTTLED,
    server_error = SERVER_ERROR,
    internal_error = SERVER_ERROR,
    internal_server_error = SERVER_ERROR,
    internalservererror = SERVER_ERROR,
    api_error = SERVER_ERROR,
    model_error = SERVER_ERROR,
    service_unavailable = SERVER_ERROR,
    serviceunavailable = SERVER_ERROR,
    bad_gateway = SERVER_ERROR,
    gateway_timeout = SERVER_ERROR,
    request_timeout = SERVER_ERROR,
    timeout = SERVER_ERROR,
    timeout_error = SERVER_ERROR,
    vector_store_timeout = SERVER_ERROR,
    content_filter = OF_REQUEST,
    content_filtered = OF_REQUEST,
    contentfilter = OF_REQUEST,
    responsibleaipolicyviolation = OF_REQUEST,
    moderation_blocked = OF_REQUEST,
    bio_policy = OF_REQUEST,
    cyber_policy = OF_REQUEST,
    context_length_exceeded = OF_REQUEST,
    string_above_max_length = OF_REQUEST,
    empty_image_file = OF_REQUEST,
    failed_to_download_image = OF_REQUEST,
}
-- invalid_prompt, invalid_request_error, unsupported_parameter, image_too_large, content_policy_violation …
local PREFIXES_OF_REQUEST = { "invalid_", "unsupported_", "image_" }
local SUFFIX_OF_REQUEST = "policy_violation"

local OF_STATUS =
    { [400] = OF_REQUEST, [408] = SERVER_ERROR, [413] = OF_REQUEST, [422] = OF_REQUEST, [429] = THROTTLED }

-- Phrases that mean throttling in errors without a code.
local THROTTLE_PHRASES = { "rate limit", "too many requests", "high demand", "retry after" }

-- Codes, in lower case, of a 400 or 404 that is about what one backend has. Sources: error pages of Azure OpenAI and of
-- Foundry's models, SDK issue threads.
local PLACES = {
    deploymentnotfound = "not_deployed",
    deployment_not_found = "not_deployed",
    model_not_found = "not_deployed",
    modelnotfound = "not_deployed",
    unavailable_model = "not_deployed",
    unknown_model = "not_deployed",
    invalid_encrypted_content = "not_found",
}
-- The same without a code, by patterns of the message in lower case.
local PLACES_BY_TEXT = {
    { "^the api deployment for this resource does not exist", "not_deployed" },
    { "^unavailable model:", "not_deployed" },
    { "^unknown model:", "not_deployed" },
    { "^item with id '[^']*' not found", "not_found" },
    { "^the encrypted content .*could not be verified", "not_found" },
}

local STATUS_OF_REASON = { throttled = 429, server_error = 500, not_found = 400 }

local _M = {}

-- In lower case; nil for null and for nothing.
local function word(value)
    if value == nil or value == ngx.null or value == "" then
        return nil
    end
    return tostring(value):lower()
end

local function of_status(status)
    return status and (OF_STATUS[status] or status >= 500 and status < 600 and SERVER_ERROR) or nil
end

local function meaning(name)
    if not name then
        return nil
    end
    local known = MEANINGS[name] or of_status(tonumber(name))
    if known then
        return known
    end
    for _, prefix in ipairs(PREFIXES_OF_REQUEST) do
        if has_prefix(name, prefix) then
            return OF_REQUEST
        end
    end
    return has_suffix(name, SUFFIX_OF_REQUEST) and OF_REQUEST or nil
end

local function of_text(message)
    for _, phrase in ipairs(THROTTLE_PHRASES) do
        if message:find(phrase, 1, true) then
            return THROTTLED
        end
    end
    return SERVER_ERROR
end

-- On the Anthropic surface an unknown model is a thing that is not found.
local function is_unknown_model(err, message)
    return word(err.type) == "not_found_error" and has_prefix(message, "model:")
end

local function place_by_text(message)
    for _, entry in ipairs(PLACES_BY_TEXT) do
        if message:find(entry[1]) then
            return entry[2]
        end
    end
    return nil
end

-- What a code, or a text without a code, says of what one backend has.
local function place(err)
    local code, kind = word(err.code), word(err.type)
    if PLACES[kind] then
        return PLACES[kind]
    end
    -- Azure's platform repeats the status as the code.
    if code and not tonumber(code) then
        return PLACES[code]
    end
    local message = word(err.message)
    if message and is_unknown_model(err, message) then
        return "not_deployed"
    end
    return message and place_by_text(message)
end

--- What an error means:
--
--     { code = "too_many_requests" }                  -> "throttled"
--     { code = "x", type = "invalid_request_error" }  -> "of_request"
--     { message = "rate limit exceeded" }             -> "throttled"
--     { code = "invalid_encrypted_content" }          -> "not_found"
--     {}                                              -> nil
--
-- @param err table the error object
-- @return string|nil "throttled", "server_error", "not_found" (another backend may have what the request refers to),
--   "of_request" (every backend would repeat it), "unknown" (no code that the gateway knows); nil when the error gives
--   no reason
function _M.meaning(err)
    if place(err) == "not_found" then
        return "not_found"
    end
    -- Flat events have their own type where others have the error's.
    local code, kind = word(err.code), word(err.type)
    kind = kind ~= "error" and kind or nil
    local known = meaning(code) or meaning(kind)
    if known then
        return known
    end
    if code or kind then
        return UNKNOWN
    end
    local message = word(err.message)
    return message and of_text(message) or nil
end

--- Whether the error of a 400 or 404 is about what one backend has, so that another one may serve:
--
--     { code = "unknown_model" }                               -> "not_deployed"
--     { message = "Item with id 'rs_1' not found." }           -> "not_found"
--     { code = "previous_response_not_found" }, true           -> "not_found"
--
-- @param err table the error object
-- @param refers_to_stored boolean whether the request refers to a resource that another backend may hold
-- @return string|nil "not_deployed" (the deployment), "not_found" (what the request refers to), nil when it is neither
function _M.place(err, refers_to_stored)
    local code = word(err.code)
    local is_missing = refers_to_stored and code ~= nil and code:find("not_found", 1, true) ~= nil
    return place(err) or (is_missing and "not_found") or nil
end

--- The outcome that a backend should have given in place of a 200 with an error inside.
-- @param headers table of the 200; its content type is replaced
-- @param reason string "throttled", "server_error" or "not_found"
-- @param err table the error object
-- @param surface Surface of the request
-- @return Outcome
function _M.outcome(headers, reason, err, surface)
    local status = STATUS_OF_REASON[reason]
    local message = type(err.message) == "string" and err.message or "The backend reported an error."
    local code = type(err.code) == "string" and err.code or tostring(status)
    headers["content-type"] = "application/json"
    local body = errors.text(status, { message = message, code = code }, surface)
    return { reason = reason, status = status, headers = headers, body = body }
end

return _M
