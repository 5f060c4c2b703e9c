--- Items of earlier answers that a client sends again in `input`, as coding agents do with each turn: messages, calls
--- of functions, reasoning.
local math_min = math.min
local type = type
local string_sub = string.sub

-- As many bytes of an encrypted content tell it from all others: they hold its time and its random start.
local SEAL_BYTES = 128
-- Answers have some dozens.
local MOST_OF_ANSWER = 1024
local NOTHING = {}

local _M = {
    --- Real ids are much shorter. Each becomes a key in memory and in Redis, so longer ones are ignored.
    LONGEST_ID_BYTES = 512,
}

--- What is kept of an encrypted content.
-- @param text string
-- @return string
function _M.seal(text)
    return string_sub(text, 1, SEAL_BYTES)
end

--- By what an item can be known again. Clients that store nothing leave out the ids, but keep the encrypted content.
--
--     { id = "rs_1", seal = "gAAA" } -> { "id/rs_1", "seal/gAAA" }
--
-- @param item Item
-- @return string[]
function _M.keys(item)
    local keys = {}
    keys[1] = item.id and _M.key_of_id(item.id)
    keys[#keys + 1] = item.seal and "seal/" .. item.seal
    return keys
end

--- The same of an id alone.
function _M.key_of_id(id)
    return "id/" .. id:lower()
end

--- The items of a request, in their order.
-- @param request Request
-- @return Item[]
function _M.of(request)
    return request.facts and request.facts.items or NOTHING
end

--- Whether only the backend that holds an item can go on with it: reasoning that is not sent along. All other items
--- carry what they say.
-- @param item Item
-- @return boolean
function _M.is_bond(item)
    return item.type == "reasoning" and not item.seal
end

--- One item of an answer.
-- @param entry any decoded
-- @return Item|nil
function _M.in_answer(entry)
    if type(entry) ~= "table" then
        return nil
    end
    local id = type(entry.id) == "string" and #entry.id <= _M.LONGEST_ID_BYTES and entry.id or nil
    local seal = type(entry.encrypted_content) == "string" and _M.seal(entry.encrypted_content) or nil
    return (id or seal) and { id = id, seal = seal } or nil
end

--- The items in the `output` of an answer.
-- @param output any decoded
-- @return Item[] the first 1,024
function _M.in_output(output)
    local items, entries = {}, type(output) == "table" and output or NOTHING
    for index = 1, math_min(#entries, MOST_OF_ANSWER) do
        items[#items + 1] = _M.in_answer(entries[index])
    end
    return items
end

return _M
