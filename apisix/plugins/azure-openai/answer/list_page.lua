--- A page of a list of stored resources, as text: what stays of it keeps every byte.
local core = require("apisix.core")
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")

local ngx = ngx
local ipairs = ipairs
local type = type
local table_concat = table.concat

--- One page.
---@class ListPage
---@field text string the whole answer
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
    local value = json_edit.get(text, name)
    value = value and core.json.decode(value)
    return type(value) == "string" and value or nil
end

--- Reads a page. Raises an error when the text is no JSON.
--
--     read('{"data":[{"id":"file-1"}],"has_more":false}') -> { items = { { text = '{"id":"file-1"}', id = "file-1" } },
--         first_id = "file-1", last_id = "file-1", has_more = false, … }
--
-- @param text string
-- @return ListPage|nil nil when it is no list
function _M.read(text)
    local data = text:find("^%s*{") and json_edit.get(text, "data")
    if not data or data:byte(1) ~= 91 then
        return nil
    end
    local items = {}
    for index, item in ipairs(json_edit.elements(data)) do
        items[index] = { text = item, id = item:byte(1) == 123 and _M.string_member(item, "id") or nil }
    end
    return {
        text = text,
        items = items,
        first_id = items[1] and items[1].id,
        last_id = items[#items] and items[#items].id,
        has_more = json_edit.get(text, "has_more") == "true",
    }
end

local function set_existing(text, name, value)
    return json_edit.get(text, name) and json_edit.set(text, name, value) or text
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
    local text = json_edit.set_raw(page.text, "data", "[" .. table_concat(texts, ",") .. "]")
    text = set_existing(text, "first_id", first and first.id or ngx.null)
    text = set_existing(text, "last_id", last and last.id or cursor)
    return set_existing(text, "has_more", page.has_more)
end

return _M
