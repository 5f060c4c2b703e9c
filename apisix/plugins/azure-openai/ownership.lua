--- Which backend holds which stored resource. Responses, conversations, files, batches, vector stores … live in one
-- Azure resource only; their ids lead back to it.
local core = require("apisix.core")
local json_edit = require("apisix.plugins.azure-openai.json_edit")
local shared_state = require("apisix.plugins.azure-openai.shared_state")

local ngx = ngx
local type = type
local ipairs = ipairs
local pcall = pcall

local dict = ngx.shared["azure-openai-ownership"]

-- Azure keeps responses for 30 days.
local REMEMBER_SECONDS = 30 * 86400

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
    videos = true,
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

-- Members of a request body that hold the id of a stored resource.
local BODY_REFERENCES =
    { "previous_response_id", "conversation", "input_file_id", "file_id", "training_file" }

local _M = {}

local function collection_of(operation)
    return operation:match("^[^/]+")
end

-- Ids are a prefix and a random part: `resp_…`, `file-…`. Words below a collection that look alike are not ids.
local NOT_IDS = { input_tokens = true }

local function is_id(segment)
    return segment ~= nil and segment:find("[_-]") ~= nil and not NOT_IDS[segment]
end

-- `responses/{id}/input_items`, but also `fine_tuning/jobs/{id}`.
local function path_id(operation)
    local first, second = operation:match("^[^/]+/([^/]+)/?([^/]*)")
    if is_id(first) then
        return first
    end
    return is_id(second) and second or nil
end

local function add_id(ids, value)
    if type(value) == "table" then
        value = value.id
    end
    if type(value) == "string" and value ~= "" then
        ids[#ids + 1] = value
    end
end

local function add_all(ids, values)
    if type(values) == "table" then
        for _, value in ipairs(values) do
            add_id(ids, value)
        end
    end
end

--- The ids of stored resources that a request refers to, the most telling first.
-- @return table list of strings
function _M.references(request)
    local ids = {}
    if COLLECTIONS[collection_of(request.operation)] then
        add_id(ids, path_id(request.operation))
    end
    local decoded = request.decoded
    if decoded then
        for _, name in ipairs(BODY_REFERENCES) do
            add_id(ids, decoded[name])
        end
        add_all(ids, decoded.file_ids)
        for _, tool in ipairs(type(decoded.tools) == "table" and decoded.tools or {}) do
            add_all(ids, type(tool) == "table" and tool.vector_store_ids)
        end
    end
    return ids
end

--- Whether a request belongs to the home backend when no id says otherwise: creating and listing.
function _M.is_homed(request)
    return HOME_COLLECTIONS[collection_of(request.operation) or ""] == true
end

--- The backend that owns one of some resources.
-- @param pool table
-- @param ids list of strings
-- @return table|nil backend, nil when unknown or no longer configured
function _M.owner(pool, ids)
    for _, id in ipairs(ids) do
        local name = dict:get(id)
        if not name then
            name = shared_state.get("owner:" .. id)
            if name then
                dict:set(id, name, REMEMBER_SECONDS)
            end
        end
        if name and pool.by_name[name] then
            return pool.by_name[name]
        end
    end
    return nil
end

--- Remembers an owner.
function _M.remember(id, backend)
    if dict:get(id) ~= backend.name then
        dict:set(id, backend.name, REMEMBER_SECONDS)
        shared_state.set_later("owner:" .. id, backend.name, REMEMBER_SECONDS)
    end
end

local function id_in_json(body)
    local ok, text = pcall(json_edit.get, body, "id")
    return ok and text and core.json.decode(text) or nil
end

-- The first event of a Responses stream holds the whole response object, whose id comes first.
local function learn_from_stream(stream, backend)
    stream.on_first_block = function(block)
        local id = block:match('"id"%s*:%s*"(resp_[^"]+)"')
        if id then
            _M.remember(id, backend)
        end
    end
end

--- Learns from a successful answer which resource the backend has created or holds.
-- @param request table
-- @param answer table from the exchange, before it is relayed
function _M.learn(request, answer)
    if not COLLECTIONS[collection_of(request.operation) or ""] or answer.status >= 300 then
        return
    end
    for _, id in ipairs(request.references) do
        _M.remember(id, answer.backend)
    end
    if request.method ~= "POST" then
        return
    end

    if answer.event_stream then
        learn_from_stream(answer.event_stream, answer.backend)
    elseif answer.body and answer.body:byte(1) == 123 then
        local id = id_in_json(answer.body)
        if type(id) == "string" then
            _M.remember(id, answer.backend)
        end
    end
end

return _M
