--- Which backend holds which stored resource. Responses, conversations, files, batches, vector stores … live in one
-- Azure resource only; their ids lead back to it.
local core = require("apisix.core")
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")
local references = require("apisix.plugins.azure-openai.request.references")
local request_body = require("apisix.plugins.azure-openai.request.body")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local type = type
local ipairs = ipairs
local pcall = pcall

local dict = ngx.shared["azure-openai-ownership"]

-- Azure keeps responses for 30 days.
local REMEMBER_SECONDS = 30 * 86400
local SHARED_PREFIX = "owner:"

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

local _M = {}

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

--- The ids of stored resources that a request refers to, the most telling first.
-- @return table list of strings
function _M.references(request)
    local ids = {}
    if _M.is_stored(request.operation) then
        ids[1] = references.in_path(request.operation)
    end
    if request.decoded then
        references.add_from_body(ids, request.decoded, request_body.text(request.body))
    end
    return ids
end

--- Whether a request belongs to the home backend when no id says otherwise: creating and listing.
-- @param operation string
-- @return boolean
function _M.is_homed(operation)
    return HOME_COLLECTIONS[collection_of(operation)] == true
end

-- What other replicas know of some resources, remembered here.
local function owner_known_elsewhere(pool, ids)
    local keys = {}
    for index, id in ipairs(ids) do
        keys[index] = SHARED_PREFIX .. id
    end
    local names = shared_state.get_all(keys)
    for index, id in ipairs(ids) do
        local backend = pool.by_name[names[index]]
        if backend then
            dict:set(id, backend.name, REMEMBER_SECONDS)
            return backend
        end
    end
    return nil
end

--- The backend that owns one of some resources.
-- @param pool table
-- @param ids list of strings
-- @return table|nil backend, nil when unknown or no longer configured
function _M.owner(pool, ids)
    for _, id in ipairs(ids) do
        local backend = pool.by_name[dict:get(id)]
        if backend then
            return backend
        end
    end
    return #ids > 0 and owner_known_elsewhere(pool, ids) or nil
end

--- Remembers an owner.
function _M.remember(id, backend)
    if dict:get(id) ~= backend.name then
        dict:set(id, backend.name, REMEMBER_SECONDS)
        shared_state.set_later(SHARED_PREFIX .. id, backend.name, REMEMBER_SECONDS)
    end
end

--- Notes, in this replica, that the usage of a resource has been counted.
-- @param id string
-- @return boolean whether it is for the first time
function _M.note_report(id)
    return dict:add("reported|" .. id, true, REMEMBER_SECONDS) == true
end

--- Whether a resource reports its usage for the first time, in any replica. Not in the log phase.
-- @param id string
-- @return boolean
function _M.is_first_report(id)
    if not _M.note_report(id) then
        return false
    end
    local reports = shared_state.count("reported:" .. id, 1, REMEMBER_SECONDS * 1000)
    return reports == nil or reports == 1
end

local function id_in_json(body)
    local ok, text = pcall(json_edit.get, body, "id")
    local id = ok and text and core.json.decode(text)
    return type(id) == "string" and id or nil
end

-- Whether the answer can be referred to later: responses unless the client says otherwise, completions if it does.
local function is_kept(request)
    local store = request.decoded and request.decoded.store
    return store == true or (store ~= false and _M.is_stored(request.operation))
end

-- Notes which resource the answer is, or is about to be.
local function note(request, backend, id)
    request.answered_id = id
    if id and request.method == "POST" then
        _M.remember(id, backend)
    end
end

--- Learns from a successful answer which resource the backend has created or holds.
-- @param request table gets `answered_id`, the id of the answer where it is a stored resource
-- @param answer table from the exchange, before it is relayed
function _M.learn(request, answer)
    if answer.status >= 300 then
        return
    end
    for _, id in ipairs(request.references) do
        -- Whoever is known to hold something goes on to, unless it has just been looked for elsewhere.
        if not request.owner or dict:get(id) == nil then
            _M.remember(id, answer.backend)
        end
    end

    if not is_kept(request) then
        return
    end
    if answer.event_stream then
        -- The first event of a Responses stream holds the whole response object, whose id comes first.
        answer.event_stream.on_first_block = function(block)
            note(request, answer.backend, block:match('"id"%s*:%s*"(resp_[^"]+)"'))
        end
    elseif answer.body and answer.body:byte(1) == 123 then
        note(request, answer.backend, id_in_json(answer.body))
    end
end

return _M
