--- Holds clients that may use only some deployments to these, wherever a request can name one.
local ownership = require("apisix.plugins.azure-openai.ownership")
local references = require("apisix.plugins.azure-openai.references")

local ipairs = ipairs
local type = type

-- Headers that name a further deployment: which one answers when a provisioned one is full, and which one makes the
-- images of a response.
local NAMING_HEADERS = { "x-ms-spillover-deployment", "x-ms-oai-image-generation-deployment" }

-- What is created here runs deployments that a file or a nested document names, out of the gateway's sight.
local OUT_OF_SIGHT = { ["/batches"] = true, ["/evals"] = true, ["/fine_tuning"] = true }
-- What is created here runs no model.
local WITHOUT_MODEL = {
    ["/files"] = true,
    ["/uploads"] = true,
    ["/vector_stores"] = true,
    ["/containers"] = true,
    ["/conversations"] = true,
    ["/threads"] = true,
}

local _M = {}

-- Requests for stored resources name no deployment; one that runs a model, or a session with one, must.
local function must_name(request)
    if request.is_upgrade then
        return true
    end
    return request.method == "POST"
        and not WITHOUT_MODEL[request.resource]
        and not (ownership.is_stored(request.operation) and references.in_path(request.operation))
end

local function add(names, value)
    if type(value) == "string" and value ~= "" then
        names[#names + 1] = value
    end
end

local function add_from_body(names, decoded)
    local session = decoded.session
    if type(session) == "table" then
        add(names, session.model)
    end
    for _, tool in ipairs(type(decoded.tools) == "table" and decoded.tools or {}) do
        add(names, type(tool) == "table" and tool.model)
    end
end

-- Every deployment that a request names.
local function names_in(request)
    local names = {}
    add(names, request.deployment)
    if request.decoded then
        add_from_body(names, request.decoded)
    end
    for _, header in ipairs(NAMING_HEADERS) do
        local value = request.headers[header]
        for _, name in ipairs(type(value) == "table" and value or { value }) do
            add(names, name)
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
-- @param request table from `request.read`
-- @return string|nil message
function _M.fault(client, request)
    if request.method == "POST" and OUT_OF_SIGHT[request.resource] then
        return "This client may use certain deployments only; what is created here names its deployments elsewhere."
    end
    local names = names_in(request)
    for _, name in ipairs(names) do
        if not is_allowed(client, name) then
            return "This client may not use the deployment '" .. name .. "'."
        end
    end
    if #names == 0 and must_name(request) then
        return "This client may use certain deployments only; the request names none."
    end
    return nil
end

return _M
