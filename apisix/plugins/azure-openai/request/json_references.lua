--- What a JSON body refers to: stored resources, by their ids, and the items of earlier answers that a client replays.
--
-- `json_facts` reads the body and tells each string and each object here. Backends may take either of two members whose
-- names differ in case only, so both count.
local replayed_items = require("apisix.plugins.azure-openai.request.replayed_items")

local ipairs = ipairs
local pairs = pairs
local string_byte = string.byte
local string_find = string.find
local string_lower = string.lower
local table_remove = table.remove

--- An item of `input` that a client replays from an earlier answer.
---@class Item
---@field id string|nil
---@field type string|nil
---@field seal string|nil what is kept of its encrypted content, which only its maker can read

-- Members at the top that refer to stored resources, the most telling first.
local REFERENCES = {
    "previous_response_id",
    "conversation",
    "assistant_id",
    "input_file_id",
    "file_id",
    "training_file",
    "validation_file",
    "file_ids",
}
local IS_REFERENCE = {}
for _, name in ipairs(REFERENCES) do
    IS_REFERENCE[name] = true
end
-- Members anywhere below that do: input parts, attachments, tools and their resources.
local NESTED_REFERENCES = {
    file_id = true,
    file_ids = true,
    vector_store_ids = true,
    container = true,
    container_id = true,
    video = true,
}
-- Any other member that is named like this may refer to something that a client has stored.
local LIKE_AN_ID = "_ids?$"
-- These pair a call with its result.
local PAIRS = { call_id = true, tool_call_id = true, tool_use_id = true }
-- String members that mean something wherever they stand: those, and what an object says of itself.
local MEANS = { type = true, id = true, encrypted_content = true }
for name in pairs(NESTED_REFERENCES) do
    MEANS[name] = true
end
-- Objects of these types refer by their `id`.
local REFERRING_TYPES = { item_reference = true, file_id = true }
-- Items of these types carry what they say in their encrypted content alone.
local SEALED_TYPES = { reasoning = true, compaction = true }
-- An item of `input` without any of these, or without a type, says nothing itself: it refers to a stored one.
local SAYS = { role = true, content = true }
-- A vector store takes some hundred files at once.
local MOST_REFERENCES = 2048
local MOST_ITEMS = 16
local LONGEST_ID_BYTES = replayed_items.LONGEST_ID_BYTES
-- Of most bodies. Nobody adds to it.
local NOTHING = {}

local _M = {}

--- What is found in a body, empty at first.
---@class Found
---@field top table<string, string[]> ids by the member at the top that names them
---@field nested string[] ids in members that refer, anywhere
---@field mentions string[] ids in other members that are named like one
---@field items Item[]
---@field item_ids string[]
---@field is_any boolean whether there is any of these, or one that is not kept
function _M.new()
    return { top = {}, nested = {}, mentions = {}, items = {}, item_ids = {}, is_any = false }
end

-- Adds an id to one of the lists.
local function keep(ids, id)
    -- One more than are kept shows that there are more.
    if id ~= "" and #id <= LONGEST_ID_BYTES and #ids <= MOST_REFERENCES then
        ids[#ids + 1] = id
    end
end

--- Adds an id to one of the lists of what is found.
-- @param found Found
-- @param ids string[]
-- @param id string
local function add(found, ids, id)
    found.is_any = true
    keep(ids, id)
end
_M.add = add

-- Most names end in another letter, and a look at that costs less than a pattern.
local function is_like_an_id(name)
    local last = string_byte(name, -1)
    return (last == 100 or last == 115) and string_find(name, LIKE_AN_ID) ~= nil
end

--- Whether a string member may refer to something.
-- @param name string in lower case
-- @param is_top boolean whether it stands at the top
function _M.may_refer(name, is_top)
    return MEANS[name] or (is_top and IS_REFERENCE[name]) or is_like_an_id(name)
end

--- Where the ids of a member are collected.
-- @param found Found
-- @param name string in lower case
-- @param is_top boolean
-- @param is_own boolean whether it is part of the client's own data, which refers to nothing
-- @return string[]|false false when it refers to nothing
function _M.ids_of(found, name, is_top, is_own)
    if is_top and IS_REFERENCE[name] then
        found.top[name] = found.top[name] or {}
        return found.top[name]
    end
    if is_own then
        return false
    end
    return NESTED_REFERENCES[name] and found.nested
        or (is_like_an_id(name) and not PAIRS[name] and found.mentions)
        or false
end

--- Fields of a frame (json_facts) that tell what its object refers to, at the beginning of an object.
function _M.open(frame)
    frame.type, frame.id, frame.seal = false, false, false
    frame.refers, frame.other_ids, frame.says = false, false, false
end

--- The name of a member.
function _M.hear_name(frame, name)
    frame.says = frame.says or SAYS[name] or false
end

--- The value of a string member.
function _M.hear(found, frame, value)
    local name = frame.folded
    if name == "type" then
        frame.type = string_lower(value)
        frame.refers = frame.refers or REFERRING_TYPES[frame.type] or false
    elseif name == "id" then
        if frame.id and frame.id ~= value then
            frame.other_ids = frame.other_ids or {}
            keep(frame.other_ids, frame.id)
        end
        frame.id = value
    elseif name == "encrypted_content" and value ~= "" then
        found.is_any = true
        -- In another case it may be overlooked.
        frame.seal = frame.name == name and replayed_items.seal(value) or frame.seal
    end
end

-- Whether an item of `input` is a reference, although its type does not say so.
local function is_bare(frame)
    return SEALED_TYPES[frame.type] and not frame.seal or not frame.type and not frame.says
end

local function hear_id(found, frame, is_item, id)
    if frame.refers or (is_item and is_bare(frame)) then
        add(found, found.nested, id)
    elseif frame.ids then
        add(found, frame.ids, id)
    elseif is_item and not frame.type then
        add(found, found.mentions, id)
    end
end

local function add_item(found, frame)
    local id = frame.id and #frame.id <= LONGEST_ID_BYTES and frame.id or nil
    if not id and not frame.seal then
        return
    end
    if id then
        add(found, found.item_ids, id)
    end
    found.items[#found.items + 1] = { id = id, type = frame.type or nil, seal = frame.seal or nil }
    if #found.items > MOST_ITEMS then
        table_remove(found.items, 1)
    end
end

--- An object is over: it may have been a reference, or an item that the client replays.
-- @param found Found
-- @param frame table of the object, which is not the client's own data
-- @param is_item boolean whether it is an element of `input`
function _M.close(found, frame, is_item)
    if frame.other_ids then
        for _, id in ipairs(frame.other_ids) do
            hear_id(found, frame, is_item, id)
        end
    end
    if frame.id then
        hear_id(found, frame, is_item, frame.id)
    end
    if is_item and not frame.refers then
        add_item(found, frame)
    end
end

-- Cuts a list to what is kept. Returns whether there were more.
local function cut(ids)
    local has_more = #ids > MOST_REFERENCES
    ids[MOST_REFERENCES + 1] = nil
    return has_more
end

local function all_references(found)
    local ids = {}
    for _, name in ipairs(REFERENCES) do
        for _, id in ipairs(found.top[name] or {}) do
            keep(ids, id)
        end
    end
    for _, id in ipairs(found.nested) do
        keep(ids, id)
    end
    return ids
end

--- What was found, as it stands in the facts of the body. Where that is nothing, `found` can be used again.
-- @param found Found
-- @return string[] references
-- @return string[] mentions
-- @return boolean has_more_references
-- @return Item[] items
-- @return string[] item_ids
-- @return boolean has_more_item_ids
function _M.lists(found)
    if not found.is_any then
        return NOTHING, NOTHING, false, NOTHING, NOTHING, false
    end
    local references = all_references(found)
    local has_more, has_more_mentions = cut(references), cut(found.mentions)
    return references,
        found.mentions,
        has_more or has_more_mentions,
        found.items,
        found.item_ids,
        cut(found.item_ids)
end

return _M
