--- The stored resources that a request refers to: responses, conversations, files, vector stores, containers.
local collections = require("apisix.plugins.azure-openai.request.collections")
local request_body = require("apisix.plugins.azure-openai.request.body")

local ipairs = ipairs
local pairs = pairs
local type = type

-- Members at the top of a body, the most telling first.
local TOP_MEMBERS = {
    "previous_response_id",
    "conversation",
    "assistant_id",
    "input_file_id",
    "file_id",
    "training_file",
    "validation_file",
    "file_ids",
}
-- Members anywhere below: input parts, attachments, tools and their resources.
local NESTED_MEMBERS = { file_id = true, file_ids = true, vector_store_ids = true, container = true }
-- A body without any of these words has no nested reference and is not walked.
local NESTED_WORDS = { '"file_id', '"vector_store_ids"', '"container"', '"item_reference"' }

-- The gateway looks for one owner only, so more references would tell nothing new.
local MOST_IDS = 16
local MOST_VISITS = 10000
-- Real ids are much shorter. Each id becomes a key in memory and in Redis, so long ones are ignored.
local LONGEST_ID_BYTES = 512

-- Ids are a prefix and a random part: `resp_…`, `file-…`. These words below a collection only look like ids.
local NOT_IDS = { input_tokens = true }

local _M = {}

local function is_id(segment)
    return segment ~= nil and segment:find("[_-]") ~= nil and not NOT_IDS[segment]
end

--- The first id in a path: "responses/resp_1/input_items" -> "resp_1", "fine_tuning/jobs/ftjob-1" -> "ftjob-1".
-- @param operation string
-- @return string|nil
function _M.in_path(operation)
    local below = operation:match("^[^/]+(/.*)$")
    for segment in (below or ""):gmatch("/([^/]+)") do
        if is_id(segment) then
            return segment
        end
    end
    return nil
end

-- A member's value is an id, an object with one, or a list of these.
local function add(ids, value)
    if type(value) == "table" then
        if value.id == nil then
            for _, entry in ipairs(value) do
                add(ids, entry)
            end
            return
        end
        value = value.id
    end
    if type(value) == "string" and value ~= "" and #value <= LONGEST_ID_BYTES and #ids < MOST_IDS then
        ids[#ids + 1] = value
    end
end

local function walk(ids, value, visits)
    if value.type == "item_reference" or value.type == "file_id" then
        add(ids, value.id)
    end
    for name, member in pairs(value) do
        visits = visits - 1
        if visits < 0 or #ids == MOST_IDS then
            return visits
        end
        if NESTED_MEMBERS[name] then
            add(ids, member)
        end
        -- Metadata is the client's own.
        if type(member) == "table" and name ~= "metadata" then
            visits = walk(ids, member, visits)
        end
    end
    return visits
end

local function has_nested(text)
    for _, word in ipairs(NESTED_WORDS) do
        if text:find(word, 1, true) then
            return true
        end
    end
    return false
end

-- Adds the ids in a body: `decoded`, and `text` as it was sent.
local function add_from_body(ids, decoded, text)
    for _, name in ipairs(TOP_MEMBERS) do
        add(ids, decoded[name])
    end
    if has_nested(text) then
        walk(ids, decoded, MOST_VISITS)
    end
end

--- The ids of stored resources that a request refers to, the most telling first.
-- @param request table from `reading.read`
-- @return table list of strings, at most 16
function _M.of(request)
    local ids = {}
    if collections.is_stored(request.operation) then
        ids[1] = _M.in_path(request.operation)
    end
    if request.decoded then
        add_from_body(ids, request.decoded, request_body.text(request.body))
    end
    return ids
end

return _M
