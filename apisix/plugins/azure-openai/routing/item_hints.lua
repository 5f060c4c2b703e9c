--- Where the items were made that a client sends again.
--
-- They are many: each answer makes some. So each client has a number of slots, and a new item takes the slot of an
-- older one of the same client. Nobody's items push out those of another, no client is told of another's, and what is
-- lost costs one more attempt. A hint says where to ask first; it gives no right.
local replayed_items = require("apisix.plugins.azure-openai.request.replayed_items")

local ngx = ngx
local ipairs = ipairs
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

local _M = {}

-- The slot of an item, and what must stand in it.
local function place(client, key)
    -- No two pairs of client and key are spelled alike.
    local digest = ngx.md5_bin(#client .. "|" .. client .. "|" .. key)
    local high, low = string_byte(digest, 1, 2)
    return #client .. "|" .. client .. "|" .. (high * 256 + low) % SLOTS,
        string_sub(digest, 3, 2 + CHECK_BYTES)
end

local function read(slot, check)
    local text = dict:get(slot)
    if not text or string_sub(text, 1, CHECK_BYTES) ~= check then
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
    return read(place(client, key))
end

--- Notes where an item can be used.
-- @param client string
-- @param item Item
-- @param backend string name
-- @param is_made boolean whether that backend has made it for this client; else it has taken it
function _M.set(client, item, backend, is_made)
    for _, key in ipairs(replayed_items.keys(item)) do
        local slot, check = place(client, key)
        local _, was_made = read(slot, check)
        dict:set(slot, check .. ((is_made or was_made) and MADE or MENTIONED) .. backend, REMEMBER_SECONDS)
    end
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
