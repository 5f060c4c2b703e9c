--- Which operations are on stored resources: responses, files, batches, conversations …
local memo = require("apisix.plugins.azure-openai.base.memo")

local _M = {}

-- Ids below these first path segments name stored resources.
local COLLECTIONS = {
    responses = true,
    conversations = true,
    files = true,
    uploads = true,
    batches = true,
    vector_stores = true,
    assistants = true,
    threads = true,
    fine_tuning = true,
    evals = true,
    containers = true,
    operations = true,
    video = true,
    videos = true,
    ["chat/completions/"] = true,
    ["messages/batches"] = true,
}

-- Resources of these kinds refer to files, or are looked for in lists, so all of them are created on one home backend.
local HOME_COLLECTIONS = {
    files = true,
    uploads = true,
    batches = true,
    vector_stores = true,
    assistants = true,
    threads = true,
    fine_tuning = true,
    evals = true,
    containers = true,
    ["messages/batches"] = true,
}

local MONTH_SECONDS = 30 * 86400
local YEAR_SECONDS = 365 * 86400
-- Azure deletes these after 30 days by itself.
local KEPT_A_MONTH = { responses = true, ["chat/completions/"] = true }

-- A backend may take a collection's name in any case.
local collection_of = memo.of(function(path)
    local operation = path:lower()
    -- Completions that were made with `store` can be looked up. Making a completion touches no stored resource.
    return operation:match("^chat/completions/")
        or operation:match("^messages/batches")
        or operation:match("^[^/]+")
        or ""
end)

--- Whether an operation is on stored resources rather than a model's work.
-- @param operation string
-- @return boolean
function _M.is_stored(operation)
    return COLLECTIONS[collection_of(operation)] == true
end

--- Whether a request shows stored resources: one, or a list.
-- @param request table with `method` and `operation`
-- @return boolean
function _M.is_shown(request)
    -- Completions that were made with `store` are listed where completions are made.
    local is_on_stored = _M.is_stored(request.operation) or request.operation:lower() == "chat/completions"
    return request.method == "GET" and is_on_stored
end

--- The kind of stored resources that an operation is on: "files/file-1/content" -> "/files"; "/" when it is on none.
-- @param operation string
-- @return string
function _M.kind(operation)
    return _M.is_stored(operation) and "/" .. collection_of(operation) or "/"
end

--- Whether an operation without an id (creating, listing) belongs to the home backend.
-- @param operation string
-- @return boolean
function _M.is_homed(operation)
    return HOME_COLLECTIONS[collection_of(operation)] == true
end

--- How long what is known of the resources of an operation is remembered after it was last used.
-- @param operation string
-- @return number seconds
function _M.memory_seconds(operation)
    -- Making a completion that is stored is no operation on stored resources, but the completion is one.
    local collection = _M.is_stored(operation) and collection_of(operation) or "chat/completions/"
    return KEPT_A_MONTH[collection] and MONTH_SECONDS or YEAR_SECONDS
end

return _M
