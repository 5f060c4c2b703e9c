--- A page of a list of stored resources, as text: what stays of it keeps every byte.
local core = require("apisix.core")
local json_members = require("apisix.plugins.azure-openai.base.json_members")

local ngx = ngx
local ipairs = ipairs
local type = type
local error = error
local table_concat = table.concat

local PARTS = { data = true, first_id = true, last_id = true, has_more = true }

--- One page.
---@class ListPage
---@field text string the whole answer
---@field places table<string, Place> where its members are
---@field items table[] { text, id (nil when it has none) }
---@field first_id string|nil id of the first item that the backend has sent, whatever becomes of `items`
---@field last_id string|nil
---@field has_more boolean whether the backend has items beyond this page

local _M = {}

--- The value of a member when it is a text: string_member('{"id":"file-1"}', "id") -> "file-1".
-- @param text string JSON object
-- @param name string
-- @return string|nil
function _M.string_member(text, name)
    local value = json_members.decode(text, { [name] = true })[name]
    return type(value) == "string" and value or nil
end

-- A member as it is written; nil when there is none.
local function written(text, place)
    return place and text:sub(place[1], place[2])
end

--- Reads a page. Raises an error when the text is no JSON.
--
--     read('{"data":[{"id":"file-1"}],"has_more":false}') -> { items = { { text = '{"id":"file-1"}', id = "file-1" } },
--         first_id = "file-1", last_id = "file-1", has_more = false, … }
--
-- @param text string
-- @return ListPage|nil nil when it is no list
function _M.read(text)
    local places, fault = json_members.locate(text, PARTS)
    if not places then
        return error(fault)
    end
    local data = written(text, places.data)
    if not data or data:byte(1) ~= 91 then
        return nil
    end
    local items = {}
    for index, item in ipairs(json_members.elements(data)) do
        items[index] = { text = item, id = _M.string_member(item, "id") }
    end
    return {
        text = text,
        places = places,
        items = items,
        first_id = items[1] and items[1].id,
        last_id = items[#items] and items[#items].id,
        has_more = written(text, places.has_more) == "true",
    }
end

--- The text of a page that shows its `items`, and leads on from them.
-- @param page ListPage
-- @return string
function _M.write(page)
    local texts = {}
    for index, item in ipairs(page.items) do
        texts[index] = item.text
    end
    local first, last = page.items[1], page.items[#page.items]
    -- A client that goes on after an empty page needs a place to go on from.
    local cursor = page.has_more and page.last_id or ngx.null
    return json_members.replace(page.text, page.places, {
        data = "[" .. table_concat(texts, ",") .. "]",
        first_id = core.json.encode(first and first.id or ngx.null),
        last_id = core.json.encode(last and last.id or cursor),
        has_more = core.json.encode(page.has_more),
    })
end

return _M
