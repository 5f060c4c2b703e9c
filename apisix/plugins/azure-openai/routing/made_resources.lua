--- Which stored resources, and which items, an answer says that it has made. Their ids are those that the request did
--- not mention.
local memo = require("apisix.plugins.azure-openai.base.memo")
local bounded_json = require("apisix.plugins.azure-openai.base.bounded_json")
local json_members = require("apisix.plugins.azure-openai.base.json_members")
local replayed_items = require("apisix.plugins.azure-openai.request.replayed_items")

local ipairs = ipairs
local type = type

-- The members of an answer that name what came out of the resource, by the first segment of the path: a run makes its
-- thread, an upload its file, a batch its output.
local DERIVED = {
    batches = { "output_file_id", "error_file_id" },
    fine_tuning = { "result_files" },
    threads = { "thread_id" },
    uploads = { "file" },
    video = { "generations" },
}
local NOTHING = {}
-- Of what an answer has made. Each becomes a record.
local MOST_IDS = 64
-- Every item of a stream comes whole in an event of this type.
local ITEM_DONE = "response.output_item.done"

local _M = {}

--- Whether the answers of an operation have items: responses, read again or compacted ones too.
-- @param operation string
-- @return boolean
_M.has_items = memo.of(function(operation)
    return operation:lower():find("^responses%f[/%z]") ~= nil
end)

-- A member's value is an id, an object with one, or a list of these.
local function add(ids, value)
    if #ids == MOST_IDS then
        return
    elseif type(value) == "string" and value ~= "" then
        ids[#ids + 1] = value
    elseif type(value) == "table" then
        add(ids, value.id)
        for _, entry in ipairs(value) do
            add(ids, entry)
        end
    end
end

--- The ids in a JSON answer:
--
--     in_body("uploads/upload_1/complete", '{"id":"upload_1","file":{"id":"file-2"}}') -> "upload_1", { "file-2" }
--
-- @param operation string
-- @param body string
-- @return string|nil id of the resource
-- @return string[] ids of what came out of it
-- @return Item[] the items in it
function _M.in_body(operation, body)
    local derived, wanted = {}, { id = true }
    local names = DERIVED[operation:lower():match("^[^/]+")] or NOTHING
    for _, name in ipairs(names) do
        wanted[name] = true
    end
    wanted.output = _M.has_items(operation) or nil
    local members = json_members.decode(body, wanted)
    for _, name in ipairs(names) do
        add(derived, members[name])
    end
    local ids = {}
    add(ids, members.id)
    return ids[1], derived, replayed_items.in_output(members.output)
end

--- The id in the first events of a stream, which begin with the resource that they are about.
-- @param block string complete events
-- @return string|nil nil when they name none yet
function _M.in_events(block)
    return block:match('"id"%s*:%s*"([^"]+)"')
end

--- The items that are whole in a block of a stream. Only the events that may hold one are decoded.
-- @param block string complete events
-- @return Item[]
function _M.items_in_events(block)
    local items = {}
    if not block:find(ITEM_DONE, 1, true) then
        return items
    end
    for data in block:gmatch("data: ?([^\r\n]+)") do
        local event = data:find(ITEM_DONE, 1, true) and bounded_json.decode(data)
        if type(event) == "table" and event.type == ITEM_DONE then
            items[#items + 1] = replayed_items.in_answer(event.item)
        end
    end
    return items
end

return _M
