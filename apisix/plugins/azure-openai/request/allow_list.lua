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

-- These run deployments that a file or a nested document names. The gateway cannot see those names.
local OUT_OF_SIGHT =
    { ["/batches"] = true, ["/evals"] = true, ["/fine_tuning"] = true, ["/messages/batches"] = true }
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

-- Whether a request goes on with a session whose deployment was decided when its ephemeral key was made.
local function is_decided(request)
    return request.ephemeral_key ~= nil
        and (request.is_upgrade or request.headers["content-type"] == "application/sdp")
end

local function is_out_of_sight(request)
    if request.is_bodyless or is_decided(request) then
        return false
    end
    -- The session of a call can be part of a form.
    local is_call = has_prefix(request.operation:lower(), "realtime/") and not request.facts
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
    if is_decided(request) then
        return false
    end
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

-- Whether a request names the deployment that does its work. Those of tools and headers only help with it.
local function has_named(request)
    return request.deployment ~= "" or (request.facts ~= nil and request.facts.names_session)
end

-- Whether a name is in the client's list, or none at all.
local function is_allowed(client, name)
    for _, allowed in ipairs(client.deployments) do
        if allowed == name then
            return true
        end
    end
    return name == ""
end

local function find_forbidden(client, names)
    for _, name in ipairs(names) do
        if not is_allowed(client, name) then
            return name
        end
    end
    return nil
end

--- The deployments that a request names beside its own: those of tools, sessions and headers.
-- @param request Request
-- @return string[]
function _M.further_names(request)
    local names = {}
    for _, name in ipairs(request.facts and request.facts.deployments or {}) do
        names[#names + 1] = name
    end
    for header, value in pairs(request.headers) do
        -- `_` counts as `-`, as in `headers`.
        if NAMING_HEADERS[(header:lower():gsub("_", "-"))] then
            for _, name in ipairs(type(value) == "table" and value or { value }) do
                names[#names + 1] = name
            end
        end
    end
    return names
end

-- A deployment that a request names and the client may not use; nil when there is none.
local function forbidden(client, request)
    return find_forbidden(client, { request.deployment }) or find_forbidden(client, _M.further_names(request))
end

--- A name as an answer can show it: "deployment", "o1" -> "the deployment 'o1'". A client can put any bytes there.
function _M.shown(what, name)
    local is_text = #name <= 128 and not name:find("[%c\128-\255]")
    return is_text and "the " .. what .. " '" .. name .. "'" or "a " .. what
end

--- Whether a client may use a deployment.
-- @param client table with `deployments`, the list of those it may use; nil for all
-- @param name string
-- @return boolean
function _M.may_use(client, name)
    return not client.deployments or is_allowed(client, name)
end

--- Why a client may not make a request.
-- @param client table with `deployments`, the list of those it may use
-- @param request table from `reading.read`
-- @return string|nil message
-- @return boolean whether the request is at fault, for it can be read in two ways
function _M.fault(client, request)
    local prefix = "This client may use certain deployments only; "
    if request.ambiguous then
        return prefix
            .. "this request is ambiguous: "
            .. _M.shown("member", request.ambiguous)
            .. " stands twice or in "
            .. "another case.",
            true
    end
    if is_out_of_sight(request) then
        return prefix .. "this request names its deployments out of sight.", false
    end
    if request.facts and not request.facts.deployments then
        return prefix .. "the request is too large to see which it names.", false
    end
    local name = forbidden(client, request)
    if name then
        return "This client may not use " .. _M.shown("deployment", name) .. ".", false
    end
    if must_name(request) and not has_named(request) then
        return prefix .. "the request names none.", false
    end
    return nil, false
end

return _M
