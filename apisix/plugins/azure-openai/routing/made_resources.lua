--- Which stored resources an answer says that it has made. Their ids are those that the request did not mention.
local json_members = require("apisix.plugins.azure-openai.base.json_members")

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

local _M = {}

-- A member's value is an id, an object with one, or a list of these.
local function add(ids, value)
    if type(value) == "string" and value ~= "" then
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
function _M.in_body(operation, body)
    local derived, wanted = {}, { id = true }
    local names = DERIVED[operation:lower():match("^[^/]+")] or NOTHING
    for _, name in ipairs(names) do
        wanted[name] = true
    end
    local members = json_members.decode(body, wanted)
    for _, name in ipairs(names) do
        add(derived, members[name])
    end
    local ids = {}
    add(ids, members.id)
    return ids[1], derived
end

--- The id in the first events of a stream, which begin with the resource that they are about.
-- @param block string complete events
-- @return string|nil nil when they name none yet
function _M.in_events(block)
    return block:match('"id"%s*:%s*"([^"]+)"')
end

return _M
