--- Which operations are on stored resources: responses, files, batches, conversations …
local _M = {}

-- First path segments below which ids name stored resources.
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
}

-- What is created in these refers to files, so it is kept together in one home.
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
}

-- A backend may take a collection's name in any case.
local function collection_of(path)
    local operation = path:lower()
    -- Completions that were made with `store` can be looked up; making one is no matter of stored resources.
    return operation:match("^chat/completions/") or operation:match("^[^/]+") or ""
end

--- Whether an operation is on stored resources rather than a model's work.
-- @param operation string
-- @return boolean
function _M.is_stored(operation)
    return COLLECTIONS[collection_of(operation)] == true
end

--- A name for the kind of resources that an operation is on, one of a few: "/files", or "/" for what is not stored.
-- @param operation string
-- @return string
function _M.kind(operation)
    return _M.is_stored(operation) and "/" .. collection_of(operation) or "/"
end

--- Whether a request belongs to the home backend when no id says otherwise: creating and listing.
-- @param operation string
-- @return boolean
function _M.is_homed(operation)
    return HOME_COLLECTIONS[collection_of(operation)] == true
end

return _M
