--- Which operations make a model work, and which show what a model did earlier.
--
-- Only their answers say how many tokens were used. Any other JSON may be a client's own text: the content of a file,
-- for example.
local memo = require("apisix.plugins.azure-openai.base.memo")
local json_facts = require("apisix.plugins.azure-openai.request.json_facts")

local ipairs = ipairs
local setmetatable = setmetatable

local INFERENCE = {
    ["chat/completions"] = true,
    ["completions"] = true,
    ["embeddings"] = true,
    ["responses"] = true,
    ["responses/compact"] = true,
    ["images/generations"] = true,
    ["images/edits"] = true,
    ["images/variations"] = true,
    ["audio/speech"] = true,
    ["audio/transcriptions"] = true,
    ["audio/translations"] = true,
    ["threads/runs"] = true,
    ["messages"] = true,
    ["images/embeddings"] = true,
}
-- They concern a model, but make none work.
local OTHER_NAMES = { ["messages/count_tokens"] = true }
-- Every credential of a resource may use these, so a refused one is bad (S1). Of other paths Azure also says 401, so a
-- wrong base URL in a client looks the same.
local OF_DEPLOYMENTS = {
    ["chat/completions"] = true,
    ["completions"] = true,
    ["embeddings"] = true,
    ["images/generations"] = true,
    ["audio/speech"] = true,
}
local OF_EVERY_CREDENTIAL = {
    deployments = OF_DEPLOYMENTS,
    v1 = setmetatable({ ["responses"] = true }, { __index = OF_DEPLOYMENTS }),
    plain = {},
    anthropic = { ["messages"] = true },
    inference = { ["models/chat/completions"] = true, ["models/embeddings"] = true },
}
-- Azure OpenAI's surface has operations of the same names. What a backend says of one tells nothing of the other.
local QUALIFIERS = { inference = "models/" }
-- Other methods could be a client's invention.
local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true }
-- These begin a run, on which a model works after the request has ended.
local RUN_PATTERNS = { "^threads/runs$", "^threads/[^/]+/runs$" }
local INFERENCE_PATTERNS = { "^threads/[^/]+/runs$", "^threads/[^/]+/runs/[^/]+/submit_tool_outputs$" }
local READING_PATTERNS = {
    "^responses/[^/]+$",
    "^responses/[^/]+/cancel$",
    "^threads/[^/]+/runs/[^/]+$",
    "^threads/[^/]+/runs/[^/]+/cancel$",
    "^videos/[^/]+$",
}

-- Each POST to one of these makes something new.
local CREATING_PATTERNS = {
    "^assistants$",
    "^batches$",
    "^containers$",
    "^containers/[^/]+/files$",
    "^conversations$",
    "^conversations/[^/]+/items$",
    "^evals$",
    "^evals/[^/]+/runs$",
    "^files$",
    "^fine_tuning/jobs$",
    "^messages/batches$",
    "^threads$",
    "^threads/runs$",
    "^threads/[^/]+/messages$",
    "^threads/[^/]+/runs$",
    "^uploads$",
    "^uploads/[^/]+/parts$",
    "^uploads/[^/]+/complete$",
    "^vector_stores$",
    "^vector_stores/[^/]+/files$",
    "^vector_stores/[^/]+/file_batches$",
    "^video/generations/jobs$",
    "^videos$",
    "^videos/[^/]+/remix$",
}

-- In a session on one of these a model works.
local SESSIONS = { realtime = true, responses = true }

local _M = {}

-- Makes a function that tells whether an operation matches one of some patterns.
local function matcher(patterns)
    return memo.of(function(operation)
        for _, pattern in ipairs(patterns) do
            if operation:find(pattern) then
                return true
            end
        end
        return false
    end)
end

local begins_run = matcher(RUN_PATTERNS)
local is_inference_below = matcher(INFERENCE_PATTERNS)
local is_made_earlier = matcher(READING_PATTERNS)
local is_creating = matcher(CREATING_PATTERNS)

--- Whether a request makes a model work.
-- @param request table from `reading.read`
-- @return boolean
function _M.is_inference(request)
    -- A backend may take an operation's name in any case.
    local operation = request.operation:lower()
    if request.is_upgrade then
        return SESSIONS[operation] or false
    end
    return request.method == "POST" and (INFERENCE[operation] or is_inference_below(operation)) or false
end

--- Whether a request makes a response or a run on which a model works after the request has ended.
-- @param request table from `reading.read`
-- @return boolean
function _M.is_background(request)
    if request.method ~= "POST" then
        return false
    end
    local operation = request.operation:lower()
    return begins_run(operation)
        or (operation == "responses" and json_facts.is_true(request.facts, "background"))
end

--- Whether a request makes something that stays: a file, a batch, a run, a response in the background …
-- @param request table from `reading.read`
-- @return boolean
function _M.is_creation(request)
    if request.method ~= "POST" then
        return false
    end
    return _M.is_background(request) or is_creating(request.operation:lower())
end

--- The operation of a model that a request asks for, as one of a fixed list.
-- @param request table from `reading.read`
-- @return string|nil for example "chat/completions", "models/chat/completions" (on the inference surface) or
--   "realtime"; nil when it is none
function _M.of_model(request)
    if request.is_upgrade then
        return "realtime"
    end
    local operation = request.operation:lower()
    local is_of_model = request.method == "POST" and (INFERENCE[operation] or OTHER_NAMES[operation])
    return is_of_model and (QUALIFIERS[request.kind] or "") .. operation or nil
end

--- A name for what a request does, one of a fixed list: the operation of a model, else the method.
-- @param request table from `reading.read`
-- @return string for example "chat/completions", "realtime" or "GET"
function _M.name(request)
    return _M.of_model(request) or METHODS[request.method] and request.method or "other"
end

--- Whether every credential of a resource may do what a request does.
-- @param request table from `reading.read`
-- @return boolean
function _M.is_of_every_credential(request)
    return OF_EVERY_CREDENTIAL[request.kind][_M.name(request)] == true
end

--- Whether a request shows a response, a run of an assistant, or a video that a model has made or is still making.
-- @param request table from `reading.read`
-- @return boolean
function _M.is_reading(request)
    return request.method ~= "DELETE" and is_made_earlier(request.operation:lower())
end

return _M
