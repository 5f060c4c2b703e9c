--- Where the items were made that a client sends again.
--
-- They are many: each answer makes some. So each client has a number of slots, and a new item takes the slot of an
-- older one of the same client. Nobody's items push out those of another, no client is told of another's, and what is
-- lost costs one more attempt. A hint says where to ask first; it gives no right.
--
-- What an answer has made, other replicas learn through Redis, when it is configured. There each client has the same
-- slots, as fields of one hash.
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")
local replayed_items = require("apisix.plugins.azure-openai.request.replayed_items")

local ngx = ngx
local ipairs = ipairs
local type = type
local string_byte = string.byte
local string_sub = string.sub

local dict = ngx.shared["azure-openai-items"]

-- About 1 MB for each client (renderer/sizing.py).
local SLOTS = 8192
-- A working day.
local REMEMBER_SECONDS = 8 * 3600
-- What tells the item of a slot from all others that could be there.
local CHECK_BYTES = 10
local MADE, MENTIONED = "+", "-"
local SHARED = "items:"

local _M = {}

-- The number of the slot of an item, and what must stand in it.
local function place(client, key)
    -- No two pairs of client and key are spelled alike.
    local digest = ngx.md5_bin(#client .. "|" .. client .. "|" .. key)
    local high, low = string_byte(digest, 1, 2)
    return (high * 256 + low) % SLOTS, string_sub(digest, 3, 2 + CHECK_BYTES)
end

local function slot_of(client, number)
    return #client .. "|" .. client .. "|" .. number
end

local function is_of(text, check)
    return type(text) == "string" and string_sub(text, 1, CHECK_BYTES) == check
end

local function read(slot, check)
    local text = dict:get(slot)
    if not is_of(text, check) then
        return nil, false
    end
    return string_sub(text, CHECK_BYTES + 2), string_sub(text, CHECK_BYTES + 1, CHECK_BYTES + 1) == MADE
end

--- Looks an item up.
-- @param client string as routing/ownership.lua names it
-- @param key string from `replayed_items`
-- @return string|nil name of a backend
-- @return boolean whether an answer to this client has made the item, as far as is known
function _M.get(client, key)
    local number, check = place(client, key)
    return read(slot_of(client, number), check)
end

--- Notes that a backend has taken an item.
-- @param client string
-- @param item Item
-- @param backend string name
function _M.taken(client, item, backend)
    for _, key in ipairs(replayed_items.keys(item)) do
        local number, check = place(client, key)
        local slot = slot_of(client, number)
        local _, was_made = read(slot, check)
        dict:set(slot, check .. (was_made and MADE or MENTIONED) .. backend, REMEMBER_SECONDS)
    end
end

--- Notes that a backend has made items for a client. Other replicas know it a moment later.
-- @param client string
-- @param items Item[]
-- @param backend string name
function _M.made(client, items, backend)
    local fields = {}
    for _, item in ipairs(items) do
        for _, key in ipairs(replayed_items.keys(item)) do
            local number, check = place(client, key)
            local text = check .. MADE .. backend
            dict:set(slot_of(client, number), text, REMEMBER_SECONDS)
            fields[#fields + 1], fields[#fields + 2] = number, text
        end
    end
    shared_state.set_fields_later(SHARED .. client, fields, REMEMBER_SECONDS)
end

--- Asks Redis for items that are not known here.
-- @param client string
-- @param keys string[] from `replayed_items`
-- @return boolean whether all that is known is known here now: false when Redis cannot say
function _M.recall(client, keys)
    local numbers, checks = {}, {}
    for _, key in ipairs(keys) do
        local number, check = place(client, key)
        if not read(slot_of(client, number), check) then
            numbers[#numbers + 1], checks[#checks + 1] = number, check
        end
    end
    local texts = shared_state.get_fields(SHARED .. client, numbers)
    for index, check in ipairs(texts and checks or {}) do
        if is_of(texts[index], check) then
            dict:set(slot_of(client, numbers[index]), texts[index], REMEMBER_SECONDS)
        end
    end
    return texts ~= nil
end

--- Where the last of some items that is known was made.
-- @param client string
-- @param items Item[]
-- @return string|nil name of a backend
-- @return Item|nil
function _M.find_last(client, items)
    for index = #items, 1, -1 do
        for _, key in ipairs(replayed_items.keys(items[index])) do
            local backend = _M.get(client, key)
            if backend then
                return backend, items[index]
            end
        end
    end
    return nil
end

return _M
