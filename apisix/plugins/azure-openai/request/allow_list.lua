--- Checks every deployment that a request names against the client's allow-list.
local core = require("apisix.core")
local collections = require("apisix.plugins.azure-openai.request.collections")
local references = require("apisix.plugins.azure-openai.request.references")

local ipairs = ipairs
local pairs = pairs
local type = type
local has_prefix = core.string.has_prefix

-- Headers that name a further deployment: which one answers when a provisioned one is full, and which one makes the
-- images of a response.
local NAMING_HEADERS = {
    ["x-ms-spillover-deployment"] = true,
    ["x-ms-oai-image-generation-deployment"] = true,
}

-- The model's input and the client's own data name no deployments.
local CONTENT = { messages = true, input = true, prompt = true, metadata = true }
-- Members below which `model` is a deployment.
local NAMING_PARENTS = { session = true, tools = true }
local MOST_VISITS = 10000

-- These run deployments that a file or a nested document names. The gateway cannot see those names.
local OUT_OF_SIGHT = { ["/batches"] = true, ["/evals"] = true, ["/fine_tuning"] = true }
-- Creating these runs no model.
local WITHOUT_MODEL = {
    ["/files"] = true,
    ["/uploads"] = true,
    ["/vector_stores"] = true,
    ["/containers"] = true,
    ["/conversations"] = true,
    ["/threads"] = true,
}

-- These run a model that a stored resource names: an assistant (possibly another client's) or a video.
local RUNS = { "^threads/runs$", "^threads/[^/]+/runs$", "^videos/[^/]+/remix$" }

local _M = {}

local function is_out_of_sight(request)
    if request.is_bodyless then
        return false
    end
    -- The session of a call can be part of a form.
    local is_call = has_prefix(request.operation:lower(), "realtime/") and not request.decoded
    return OUT_OF_SIGHT[request.resource] or is_call
end

local function runs_what_is_stored(operation)
    for _, pattern in ipairs(RUNS) do
        if operation:find(pattern) then
            return true
        end
    end
    return false
end

-- Whether a request must name its deployment. Requests for stored resources need not; those that run a model must.
local function must_name(request)
    if request.is_upgrade then
        return true
    end
    if request.is_bodyless then
        return false
    end
    return runs_what_is_stored(request.operation:lower())
        or not WITHOUT_MODEL[request.resource]
            and not (collections.is_stored(request.operation) and references.in_path(request.operation))
end

local function add(names, value)
    if type(value) == "string" and value ~= "" then
        names[#names + 1] = value
    end
end

-- Adds the names in part of a body. Returns how many members may still be visited; negative when there are too many.
local function walk(names, value, visits, is_naming, is_top)
    for name, member in pairs(value) do
        visits = visits - 1
        if visits < 0 then
            return visits
        end
        if name == "deployment_name" or (is_naming and name == "model") then
            add(names, member)
        end
        if type(member) == "table" and not (is_top and CONTENT[name]) then
            local names_models = is_naming
                or NAMING_PARENTS[name]
                or (type(name) == "string" and name:find("transcription", 1, true) ~= nil)
            visits = walk(names, member, visits, names_models)
        end
    end
    return visits
end

-- Whether a request names the deployment that does its work. Those of tools and headers only help with it.
local function has_named(request)
    local session = request.decoded and request.decoded.session
    return request.deployment ~= "" or (type(session) == "table" and type(session.model) == "string")
end

-- Every deployment that a request names; nil when it is too large to tell.
local function names_in(request)
    local names = {}
    add(names, request.deployment)
    if request.decoded and walk(names, request.decoded, MOST_VISITS, false, true) < 0 then
        return nil
    end
    for header, value in pairs(request.headers) do
        -- `_` counts as `-`, as in `headers`.
        if NAMING_HEADERS[(header:lower():gsub("_", "-"))] then
            for _, name in ipairs(type(value) == "table" and value or { value }) do
                add(names, name)
            end
        end
    end
    return names
end

local function is_allowed(client, name)
    for _, allowed in ipairs(client.deployments) do
        if allowed == name then
            return true
        end
    end
    return false
end

--- Why a client may not make a request.
-- @param client table with `deployments`, the list of those it may use
-- @param request table from `reading.read`
-- @return string|nil message
function _M.fault(client, request)
    if is_out_of_sight(request) then
        return "This client may use certain deployments only; this request names its deployments out of sight."
    end
    local names = names_in(request)
    if not names then
        return "This client may use certain deployments only; the request is too large to see which it names."
    end
    for _, name in ipairs(names) do
        if not is_allowed(client, name) then
            return "This client may not use the deployment '" .. name .. "'."
        end
    end
    if must_name(request) and not has_named(request) then
        return "This client may use certain deployments only; the request names none."
    end
    return nil
end

return _M
