--- Where the items were made that a client sends again.
--
-- They are many: each answer makes some. So each client has a number of shelves, and a new item takes the place of the
-- oldest one on its shelf. Nobody's items push out those of another, no client is told of another's, and what is lost
-- costs one more attempt. A hint says where to ask first; it gives no right.
--
-- What an answer has made, other replicas learn through Redis, when it is configured, from the fields of one hash for
-- each client.
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")
local replayed_items = require("apisix.plugins.azure-openai.request.replayed_items")

local ngx = ngx
local ipairs = ipairs
local type = type
local string_byte = string.byte
local string_char = string.char
local string_find = string.find
local string_sub = string.sub

local dict = ngx.shared["azure-openai-items"]

-- Each shelf holds the last few items that belong there: together 8,192, about 1 MB for each client
-- (renderer/sizing.py).
local SHELVES, ITEMS_OF_SHELF = 1024, 8
-- A working day.
local REMEMBER_SECONDS = 8 * 3600
-- What tells an item from all others that could be in its place.
local CHECK_BYTES = 10
local MADE, MENTIONED = "+", "-"
local SHARED = "items:"

local _M = {}

-- Where an item belongs: the shelf, the field in Redis, and what must stand there. Fields have no order, so each of the
-- 65,536 holds one item: so many more than items are needed to lose as few.
local function place(client, key)
    -- No two pairs of client and key are spelled alike.
    local digest = ngx.md5_bin(#client .. "|" .. client .. "|" .. key)
    local high, low = string_byte(digest, 1, 2)
    local number = high * 256 + low
    local shelf = #client .. "|" .. client .. "|" .. number % SHELVES
    return shelf, number, string_sub(digest, 3, 2 + CHECK_BYTES)
end

-- An entry is the check, MADE or MENTIONED, the length of the backend's name in a byte, and the name.
local function end_of_entry(shelf, from)
    return from + CHECK_BYTES + 1 + string_byte(shelf, from + CHECK_BYTES + 1)
end

-- Where an item's entry begins; nil when the shelf does not hold it. A check is too long to stand elsewhere by chance.
local function find(shelf, check)
    return shelf and string_find(shelf, check, 1, true)
end

local function is_made(shelf, from)
    return string_sub(shelf, from + CHECK_BYTES, from + CHECK_BYTES) == MADE
end

-- Puts an item in front of the others on its shelf; the one that has stood there longest may fall off.
local function put(name, check, mark, backend)
    local shelf = dict:get(name) or ""
    local from = find(shelf, check)
    if from then
        mark = is_made(shelf, from) and MADE or mark
        shelf = string_sub(shelf, 1, from - 1) .. string_sub(shelf, end_of_entry(shelf, from) + 1)
    end
    shelf = check .. mark .. string_char(#backend) .. backend .. shelf
    local stop = 0
    for _ = 1, ITEMS_OF_SHELF do
        stop = stop < #shelf and end_of_entry(shelf, stop + 1) or stop
    end
    dict:set(name, string_sub(shelf, 1, stop), REMEMBER_SECONDS)
end

--- Looks an item up.
-- @param client string as routing/ownership.lua names it
-- @param key string from `replayed_items`
-- @return string|nil name of a backend
-- @return boolean whether an answer to this client has made the item, as far as is known
function _M.get(client, key)
    local name, _, check = place(client, key)
    local shelf = dict:get(name)
    local from = find(shelf, check)
    if not from then
        return nil, false
    end
    return string_sub(shelf, from + CHECK_BYTES + 2, end_of_entry(shelf, from)), is_made(shelf, from)
end

--- Notes that a backend has taken an item.
-- @param client string
-- @param item Item
-- @param backend string name
function _M.taken(client, item, backend)
    for _, key in ipairs(replayed_items.keys(item)) do
        local name, _, check = place(client, key)
        put(name, check, MENTIONED, backend)
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
            local name, field, check = place(client, key)
            put(name, check, MADE, backend)
            fields[#fields + 1], fields[#fields + 2] = field, check .. MADE .. backend
        end
    end
    shared_state.set_fields_later(SHARED .. client, fields, REMEMBER_SECONDS)
end

-- Another program may have written anything to Redis.
local function is_of(text, check)
    return type(text) == "string"
        and string_sub(text, 1, CHECK_BYTES + 1) == check .. MADE
        and #text <= CHECK_BYTES + 1 + 255
end

--- Asks Redis for items that are not known here.
-- @param client string
-- @param keys string[] from `replayed_items`
-- @return boolean whether all that is known is known here now: false when Redis cannot say
function _M.recall(client, keys)
    local fields, names, checks = {}, {}, {}
    for _, key in ipairs(keys) do
        local name, field, check = place(client, key)
        if not find(dict:get(name), check) then
            fields[#fields + 1], names[#names + 1], checks[#checks + 1] = field, name, check
        end
    end
    local texts = shared_state.get_fields(SHARED .. client, fields)
    for index, check in ipairs(texts and checks or {}) do
        local text = texts[index]
        if is_of(text, check) then
            put(names[index], check, MADE, string_sub(text, CHECK_BYTES + 2))
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
