--- Which backend holds which stored resource, and which client may use it.
--
-- Responses, conversations, files, batches, vector stores … live in one Azure resource only, and their ids lead back to
-- it. They belong to the client that made them: only a request that makes a resource says whose it is.
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")
local beginnings = require("apisix.plugins.azure-openai.request.beginnings")
local collections = require("apisix.plugins.azure-openai.request.collections")
local operations = require("apisix.plugins.azure-openai.request.operations")
local replayed_items = require("apisix.plugins.azure-openai.request.replayed_items")
local size = require("apisix.plugins.azure-openai.request.size")
local stored_ids = require("apisix.plugins.azure-openai.request.stored_ids")
local item_hints = require("apisix.plugins.azure-openai.routing.item_hints")
local made_resources = require("apisix.plugins.azure-openai.routing.made_resources")
local place_hints = require("apisix.plugins.azure-openai.routing.place_hints")
local resource_records = require("apisix.plugins.azure-openai.routing.resource_records")
local speeds = require("apisix.plugins.azure-openai.routing.speeds")

local ipairs = ipairs
local math_max = math.max
local setmetatable = setmetatable
local unpack = unpack

-- The name of all clients where nobody signs in.
local EVERYBODY = ""
-- So many of the last references and items of a request are looked at. One that is known is enough to find the way.
local MOST_ITEMS = 16

local _M = {}

-- The names of each client, as long as its configuration is in force.
local known_names = setmetatable({}, { __mode = "k" })

-- Under which name a client owns what it makes, and the set of names under which it may use resources.
local function names_of(client)
    if not client then
        return { maker = EVERYBODY, all = {} }
    end
    local names = known_names[client]
    if not names then
        local own = "client/" .. client.name
        local maker = client.group and "group/" .. client.group or own
        names = { maker = maker, all = { [own] = true, [maker] = true } }
        known_names[client] = names
    end
    return names
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

-- The same by what is known of items. A reference to one binds; an item that is sent again binds only when it does not
-- carry its content. Otherwise its backend is asked first. The last one that is known decides.
local function prefer_maker(pool, plan)
    local references, index = plan.references, #plan.references
    local first = math_max(index - MOST_ITEMS + 1, 1)
    while not plan.owner and index >= first do
        plan.owner = pool.by_name[item_hints.get(plan.client, replayed_items.key_of_id(references[index]))]
        index = index - 1
    end
    if plan.owner then
        return
    end
    local name, item = item_hints.find_last(plan.client, plan.items)
    local maker = pool.by_name[name]
    if maker then
        plan[replayed_items.is_bond(item) and "owner" or "maker"] = maker
    end
end

-- By what the items can be looked up that decide about a request: what it refers to, and the last of what it sends
-- again when that is not known here.
local function wanted_items(plan)
    local keys = {}
    for index, id in ipairs(plan.references) do
        keys[#keys + 1] = not plan.records[index] and replayed_items.key_of_id(id) or nil
    end
    local items = plan.items
    if item_hints.find_last(plan.client, { items[#items] }) then
        return keys
    end
    for index = math_max(#items - MOST_ITEMS + 1, 1), #items do
        for _, key in ipairs(replayed_items.keys(items[index])) do
            keys[#keys + 1] = key
        end
    end
    return keys
end

-- Whether an answer to this client has made the item with an id.
local function has_made(plan, id)
    local _, is_made = item_hints.get(plan.client, replayed_items.key_of_id(id))
    return is_made
end

--- The owner of what a request makes.
-- @param plan table from `plan`
-- @return string|nil nil when nobody signs in
function _M.maker(plan)
    return plan.client ~= EVERYBODY and plan.client or nil
end

--- Whether the client of a request may use all stored resources.
-- @param plan table from `plan`
-- @return boolean
function _M.may_use_all(plan)
    return plan.policy == "shared" or not _M.maker(plan)
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

-- Whether the gateway could not read what a request refers to. A backend perhaps can: JSON with comments, in UTF-16,
-- compressed, by the name of another type … What other operations take is not known, SDP for example.
local function is_unreadable(request)
    if request.is_bodyless then
        return false
    end
    local may_refer = collections.is_stored(request.operation) or operations.is_inference(request)
    return request.json_fault ~= nil
        or (request.facts ~= nil and request.facts.has_more_references)
        or (may_refer and request.is_unread)
end

-- Why the client may not use what it refers to: "not_found", "unsure" (Redis cannot say), "unreadable", or nil. Also
-- which resource.
local function fault_of(plan, request, named, is_all_known)
    if _M.may_use_all(plan) then
        return nil
    end
    if is_unreadable(request) then
        return "unreadable"
    end
    for index, id in ipairs(plan.ids) do
        local record = plan.records[index]
        local is_known = record ~= nil and record.owner ~= nil
        -- Only what a request refers to has to be known.
        if not _M.may_use(plan, record) and (is_known or (index <= named and not has_made(plan, id))) then
            return (is_known or is_all_known) and "not_found" or "unsure", id
        end
    end
    return nil
end

--- Where a request may go, and whether it may go there at all.
-- @param pool table
-- @param request Request
-- @param client table|nil the client's configuration; nil when nobody signs in
-- @return Plan its owner is nil when it is unknown or no longer configured
function _M.plan(pool, request, client)
    local named = stored_ids.named(request)
    local ids = joined(named, stored_ids.others(request))
    local records, is_all_known = resource_records.find(ids)
    local names = names_of(client)
    local plan = {
        surface = request.surface,
        deployment = request.deployment,
        resource = request.resource,
        operation = operations.name(request),
        size = size.total(request),
        pace = speeds.pace(pool, request),
        references = named,
        items = replayed_items.of(request),
        home = collections.is_homed(request.operation) and pool.homes[request.surface.name] or nil,
        policy = pool.stored_resources,
        client = names.maker,
        caller = client and client.name or EVERYBODY,
        names = names.all,
        ids = ids,
        records = records,
    }
    if pool.keeps_prompt_caches then
        plan.kind, plan.conversation = beginnings.keys(request, plan.caller)
    end
    if shared_state.is_configured() and made_resources.has_items(request.operation) then
        is_all_known = item_hints.recall(plan.client, wanted_items(plan)) and is_all_known
    end
    plan.owner = holder_of(pool, plan.client, named, records)
    prefer_maker(pool, plan)
    plan.fault, plan.fault_id = fault_of(plan, request, #named, is_all_known)
    return plan
end

return _M
