--- Which backend holds which stored resource, and which client may use it.
--
-- Responses, conversations, files, batches, vector stores … live in one Azure resource only, and their ids lead back to
-- it. They belong to the client that made them: only a request that makes a resource says whose it is.
local collections = require("apisix.plugins.azure-openai.request.collections")
local stored_ids = require("apisix.plugins.azure-openai.request.stored_ids")
local made_resources = require("apisix.plugins.azure-openai.routing.made_resources")
local place_hints = require("apisix.plugins.azure-openai.routing.place_hints")
local resource_records = require("apisix.plugins.azure-openai.routing.resource_records")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local ipairs = ipairs
local unpack = unpack

local dict = ngx.shared["azure-openai-ownership"]

local REMEMBER_REPORT_SECONDS = 30 * 86400
-- A record is written again when it is used and less than this share of its time is left.
local SHARE_BEFORE_RENEWAL = 0.5
-- The name of all clients where nobody signs in.
local EVERYBODY = ""

local _M = {}

-- The name under which a client owns what it makes, and all names under which it may use resources.
local function names_of(client)
    if not client then
        return EVERYBODY, {}
    end
    local own = "client/" .. client.name
    local group = client.group and "group/" .. client.group
    return group or own, { [own] = true, [group or own] = true }
end

local function joined(list, other)
    local all = { unpack(list) }
    for _, entry in ipairs(other) do
        all[#all + 1] = entry
    end
    return all
end

-- The backend that is known to hold one of the ids, the first of them that has one.
local function holder_of(pool, client, ids, records)
    for index, id in ipairs(ids) do
        local record = records[index]
        local backend = pool.by_name[place_hints.get(client, id) or record and record.backend]
        if backend then
            return backend
        end
    end
    return nil
end

--- Whether the client of a request may use all stored resources.
-- @param plan table from `plan`
-- @return boolean
function _M.may_use_all(plan)
    return plan.policy == "shared" or plan.client == EVERYBODY
end

--- Whether the client of a request may use a resource.
-- @param plan table from `plan`
-- @param record ResourceRecord|nil what is known of the resource
-- @return boolean
function _M.may_use(plan, record)
    local owner = record and record.owner
    if owner then
        return plan.names[owner] == true
    end
    return plan.policy ~= "strict"
end

-- Why the client may not use what it refers to: "not_found", "unsure" (Redis cannot say), or nil. Also which resource.
local function fault_of(plan, named, is_all_known)
    if _M.may_use_all(plan) then
        return nil
    end
    for index, id in ipairs(plan.ids) do
        local record = plan.records[index]
        local is_known = record ~= nil and record.owner ~= nil
        -- Only what a request refers to has to be known.
        if not _M.may_use(plan, record) and (is_known or index <= named) then
            return (is_known or is_all_known) and "not_found" or "unsure", id
        end
    end
    return nil
end

--- Where a request may go, and whether it may go there at all.
-- @param pool table
-- @param request table from `reading.read`
-- @param client table|nil the client's configuration; nil when nobody signs in
-- @return table plan { deployment ("" for none), resource (kind of stored resource), references (plain ids), owner (the
--   backend that holds one of them, nil when unknown or no longer configured), home (the backend for what has no owner
--   yet, or nil), fault ("not_found" or "unsure": the client may not use the resource `fault_id`), … }
function _M.plan(pool, request, client)
    local named = stored_ids.named(request)
    local ids = joined(named, stored_ids.others(request))
    local records, is_all_known = resource_records.find(ids)
    local maker, names = names_of(client)
    local plan = {
        deployment = request.deployment,
        resource = request.resource,
        references = named,
        home = collections.is_homed(request.operation) and pool.home or nil,
        policy = pool.stored_resources,
        client = maker,
        names = names,
        ids = ids,
        records = records,
    }
    plan.owner = holder_of(pool, maker, named, records)
    plan.fault, plan.fault_id = fault_of(plan, #named, is_all_known)
    return plan
end

-- What is known of the resource that a request is about: its record, and whether that must be written again.
local function is_to_be_placed(record, backend, seconds)
    return not record
        or record.backend ~= backend.name
        or record.expires_at - ngx.time() < seconds * SHARE_BEFORE_RENEWAL
end

-- A success for exactly the id in the path shows where the resource is, or that it is no more.
local function learn_subject(plan, request, answer)
    local id, is_end = stored_ids.subject(request.operation)
    if not id then
        return
    end
    if request.method == "DELETE" then
        if is_end then
            resource_records.forget(id)
        end
        return
    end
    local record, seconds = plan.records[1], collections.memory_seconds(request.operation)
    if is_to_be_placed(record, answer.backend, seconds) then
        resource_records.place(id, record, answer.backend.name, seconds)
    end
end

-- A success of a request that mentions ids may say where they are, but nothing of those that are known to be elsewhere.
local function learn_mentioned(plan, answer)
    for index, id in ipairs(plan.references) do
        if not plan.owner or not plan.records[index] then
            place_hints.set(plan.client, id, answer.backend.name)
        end
    end
end

local function claim_new(plan, request, answer, ids)
    local mentioned = {}
    for _, id in ipairs(plan.ids) do
        mentioned[id] = true
    end
    local owner = plan.client ~= EVERYBODY and plan.client or nil
    local seconds = collections.memory_seconds(request.operation)
    for _, id in ipairs(ids) do
        local plain = stored_ids.plain(id)
        if plain and not mentioned[plain] then
            resource_records.claim(plain, answer.backend.name, owner, seconds)
        end
    end
end

-- Whether the answer can be referred to later. Responses can, unless the client says no; completions, if it says yes.
local function is_kept(request)
    local store = request.decoded and request.decoded.store
    return store == true or (store ~= false and collections.is_stored(request.operation))
end

-- Whether what a request has made is its client's: a POST makes it, or it comes out of what the client has made before.
local function makes(plan, request)
    local subject = stored_ids.subject(request.operation) and plan.records[1]
    return request.method == "POST" or (subject and plan.names[subject.owner])
end

--- Learns from a successful answer which resources its backend holds, and whose they are.
-- @param plan table from `plan`; its `owner` is nil when the resource has just been looked for elsewhere
-- @param request table
-- @param answer Answer before it is sent
-- @param on_id function(id) called when the id of a stored answer is known: at once, or with the first events
function _M.learn(plan, request, answer, on_id)
    if answer.status >= 300 then
        return
    end
    learn_subject(plan, request, answer)
    learn_mentioned(plan, answer)
    if not is_kept(request) then
        return
    end
    local is_maker = makes(plan, request)
    local function note(ids)
        if is_maker then
            claim_new(plan, request, answer, ids)
        end
        on_id(ids[1])
    end
    if answer.event_stream then
        answer.event_stream.on_block = function(block)
            local id = made_resources.in_events(block)
            if id then
                note({ id })
            end
            return id ~= nil
        end
    elseif answer.body then
        note(made_resources.in_body(request.operation, answer.body))
    end
end

--- Notes, in this replica, that the usage of a resource has been counted.
-- @param id string
-- @return boolean whether it is for the first time
function _M.note_report(id)
    return dict:add("reported|" .. id, true, REMEMBER_REPORT_SECONDS) == true
end

--- Whether a resource reports its usage for the first time, in any replica. Not in the log phase.
-- @param id string
-- @return boolean
function _M.is_first_report(id)
    if not _M.note_report(id) then
        return false
    end
    local reports = shared_state.count("reported:" .. id, 1, REMEMBER_REPORT_SECONDS * 1000)
    return reports == nil or reports == 1
end

return _M
