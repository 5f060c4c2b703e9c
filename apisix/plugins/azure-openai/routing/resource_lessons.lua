--- What a successful answer tells about stored resources: where they are, and who has made them.
--
-- Only a request that makes a resource says whose it is. One that reads it or refers to it takes nothing.
local collections = require("apisix.plugins.azure-openai.request.collections")
local stored_ids = require("apisix.plugins.azure-openai.request.stored_ids")
local item_hints = require("apisix.plugins.azure-openai.routing.item_hints")
local made_resources = require("apisix.plugins.azure-openai.routing.made_resources")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")
local place_hints = require("apisix.plugins.azure-openai.routing.place_hints")
local resource_records = require("apisix.plugins.azure-openai.routing.resource_records")

local ngx = ngx
local ipairs = ipairs
local math_min = math.min

-- A record is written again when it is used and less than this share of its time is left.
local SHARE_BEFORE_RENEWAL = 0.5
-- One is enough to find the way home.
local MOST_HINTS = 16
local NOTHING = {}

local _M = {}

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
    for index = 1, math_min(#plan.references, MOST_HINTS) do
        local id = plan.references[index]
        if not plan.owner or not plan.records[index] then
            place_hints.set(plan.client, id, answer.backend.name)
        end
    end
end

-- A backend that has taken the items of a request can go on with them. The last one shows the way next time.
local function learn_taken(plan, answer)
    local last = plan.items[#plan.items]
    if last then
        item_hints.taken(plan.client, last, answer.backend.name)
    end
end

-- The ids that a request itself names. Its answer may only repeat them. The items of a request are not in its `ids`.
local function named_by(plan, request)
    if plan.named then
        return plan.named
    end
    local named = {}
    for _, id in ipairs(plan.ids) do
        named[id] = true
    end
    for _, item_id in ipairs(request.facts and request.facts.item_ids or NOTHING) do
        local id = stored_ids.plain(item_id)
        if id then
            named[id] = true
        end
    end
    plan.named = named
    return named
end

-- Makes a function(items) that notes that an answer has made them for the client. Where a request has too many items to
-- tell which of them its answer repeats, none counts as made.
local function notes_items(plan, request, answer)
    local named = named_by(plan, request)
    if request.facts and request.facts.has_more_item_ids then
        return function() end
    end
    return function(items)
        local made = {}
        for _, item in ipairs(items) do
            local id = item.id and stored_ids.plain(item.id)
            made[#made + 1] = not (id and named[id]) and item or nil
        end
        item_hints.made(plan.client, made, answer.backend.name)
    end
end

-- Makes a function(ids) that notes that the client of a request has made them.
local function claims(plan, request, answer)
    local named = named_by(plan, request)
    local owner, seconds = ownership.maker(plan), collections.memory_seconds(request.operation)
    return function(ids)
        for _, id in ipairs(ids) do
            local plain = stored_ids.plain(id)
            if plain and not named[plain] then
                resource_records.claim(plain, answer.backend.name, owner, seconds)
            end
        end
    end
end

-- Whether the answer can be referred to later. Responses can, unless the client says no; completions, if it says yes.
local function is_kept(request)
    local member = request.facts and request.facts.members.store
    local store = member and member.value
    return store == true or (store ~= false and collections.is_stored(request.operation))
end

-- Whether what comes out of a resource belongs to the client: it has made the resource, now or before.
local function owns_subject(plan, request)
    if not stored_ids.subject(request.operation) then
        return request.method == "POST"
    end
    local record = plan.records[1]
    return record ~= nil and plan.names[record.owner] == true
end

-- Learns from the answer what a request has made. Returns the id of the answer, and of the first that came out of it.
local function learn_made(plan, request, answer)
    local id, derived, items = made_resources.in_body(request.operation, answer.body)
    notes_items(plan, request, answer)(items)
    if not is_kept(request) then
        return nil
    end
    local claim = claims(plan, request, answer)
    if request.method == "POST" then
        claim({ id })
    end
    if owns_subject(plan, request) then
        claim(derived)
    end
    return id, derived[1]
end

-- The same for a stream, or a document that is too large to be read whole. Their beginning says what they are about.
-- Returns whether it did.
local function learn_streamed(plan, state, answer, block)
    local id = made_resources.in_events(block)
    if id and state.request.method == "POST" then
        claims(plan, state.request, answer)({ id })
    end
    state.answered_id = id or state.answered_id
    return id ~= nil
end

-- Learns from a stream: what it is about from its beginning, and its items to its end.
local function watch_stream(plan, state, answer, has_items)
    local is_known = not is_kept(state.request)
    local note_items = has_items and notes_items(plan, state.request, answer)
    answer.event_stream.on_block = function(block)
        is_known = is_known or learn_streamed(plan, state, answer, block)
        if has_items then
            note_items(made_resources.items_in_events(block))
        end
        return is_known and not has_items
    end
end

--- Learns from a successful answer which resources its backend holds, and whose they are.
-- @param plan table from `ownership.plan`; its `owner` is nil when the resource has just been looked for elsewhere
-- @param state RequestState gets answered_id and answered_in when the id of a stored answer is known: at once, or with
--   the first events
-- @param answer Answer before it is sent
function _M.learn(plan, state, answer)
    local request = state.request
    if answer.status >= 300 then
        return
    end
    learn_subject(plan, request, answer)
    learn_mentioned(plan, answer)
    learn_taken(plan, answer)
    local has_items = made_resources.has_items(request.operation)
    if not is_kept(request) and not has_items then
        return
    end
    if answer.event_stream then
        watch_stream(plan, state, answer, has_items)
    elseif answer.body then
        state.answered_id, state.answered_in = learn_made(plan, request, answer)
    elseif answer.beginning and is_kept(request) then
        learn_streamed(plan, state, answer, answer.beginning)
    end
end

return _M
