--- Which backend holds which stored resource. Responses, conversations, files, batches, vector stores … live in one
--- Azure resource only, and their ids lead back to it.
local core = require("apisix.core")
local collections = require("apisix.plugins.azure-openai.request.collections")
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")
local references = require("apisix.plugins.azure-openai.request.references")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local type = type
local ipairs = ipairs
local pcall = pcall

local dict = ngx.shared["azure-openai-ownership"]

-- Azure keeps responses for 30 days.
local REMEMBER_SECONDS = 30 * 86400
local SHARED_PREFIX = "owner:"

local _M = {}

-- Asks Redis for the owner of one of some resources, and remembers it here.
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

local function owner_of(pool, ids)
    for _, id in ipairs(ids) do
        local backend = pool.by_name[dict:get(id)]
        if backend then
            return backend
        end
    end
    return #ids > 0 and owner_known_elsewhere(pool, ids) or nil
end

--- Where a request may go.
-- @param pool table
-- @param request table from `reading.read`
-- @return table plan { deployment ("" for none), resource (kind of stored resource), references (ids), owner (the
--   backend that holds one of them, nil when unknown or no longer configured), home (the backend for what has no owner
--   yet, or nil) }
function _M.plan(pool, request)
    local ids = references.of(request)
    return {
        deployment = request.deployment,
        resource = request.resource,
        references = ids,
        owner = owner_of(pool, ids),
        home = collections.is_homed(request.operation) and pool.home or nil,
    }
end

local function remember(id, backend)
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

-- Whether the answer can be referred to later. Responses can, unless the client says no; completions, if it says yes.
local function is_kept(request)
    local store = request.decoded and request.decoded.store
    return store == true or (store ~= false and collections.is_stored(request.operation))
end

--- Learns from a successful answer which resources its backend holds.
-- @param plan table from `plan`; its `owner` is nil when the resource has just been looked for elsewhere
-- @param request table
-- @param answer Answer before it is sent
-- @param on_id function(id) called when the id of a stored answer is known: at once, or with the first event
function _M.learn(plan, request, answer, on_id)
    if answer.status >= 300 then
        return
    end
    for _, id in ipairs(plan.references) do
        if not plan.owner or dict:get(id) == nil then
            remember(id, answer.backend)
        end
    end

    local function note(id)
        if id and request.method == "POST" then
            remember(id, answer.backend)
        end
        on_id(id)
    end
    if not is_kept(request) then
        return
    end
    if answer.event_stream then
        -- The first event of a Responses stream holds the whole response object, whose id comes first.
        answer.event_stream.on_first_block = function(block)
            note(block:match('"id"%s*:%s*"(resp_[^"]+)"'))
        end
    elseif answer.body and answer.body:byte(1) == 123 then
        note(id_in_json(answer.body))
    end
end

return _M
