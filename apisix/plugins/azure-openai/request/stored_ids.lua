--- The ids of stored resources in a request, in the one spelling that the gateway knows them by.
local memo = require("apisix.plugins.azure-openai.base.memo")
local collections = require("apisix.plugins.azure-openai.request.collections")
local query = require("apisix.plugins.azure-openai.request.query")
local references = require("apisix.plugins.azure-openai.request.references")

local ipairs = ipairs

-- Real ids are much shorter. Each becomes a key in memory and in Redis.
local LONGEST_BYTES = 512

local _M = {}

--- The one spelling of an id. Backends may take an id in another case or with characters around it:
-- " RESP_1;" -> "resp_1".
-- @param id string
-- @return string|nil nil when it cannot be an id
function _M.plain(id)
    -- Both ends are looked for by themselves: one pattern for both takes the square of the length.
    local first = id:find("%w")
    local reversed_last = first and id:reverse():find("%w")
    local plain = first and id:sub(first, #id - reversed_last + 1):lower() or ""
    return plain ~= "" and #plain <= LONGEST_BYTES and plain or nil
end

local function add(ids, list)
    for _, id in ipairs(list) do
        ids[#ids + 1] = _M.plain(id)
    end
    return ids
end

--- The ids that a request refers to, the most telling first.
-- @param request table from `reading.read`
-- @return string[] plain ids
function _M.named(request)
    return add({}, references.of(request))
end

--- The id in a path, of the resource that a request is about: "responses/resp_1/input_items" -> "resp_1", false.
-- @param operation string
-- @return string|nil plain id
-- @return boolean whether the path ends with it
function _M.subject(operation)
    local id = collections.is_stored(operation) and references.in_path(operation)
    if not id then
        return nil, false
    end
    return _M.plain(id), operation:sub(-#id - 1) == "/" .. id
end

-- What stands below the subject: "vector_stores/vs_1/files/file-1/content" -> { "file-1" }.
local below_subject = memo.of(function(operation)
    local ids, id = {}, collections.is_stored(operation) and references.in_path(operation)
    local _, stop = operation:find("/" .. (id or ""), 1, true)
    for part in operation:sub(id and stop + 1 or #operation + 1):gmatch("/[^/]+/([^/]+)") do
        ids[#ids + 1] = part
    end
    return ids
end)

--- Ids in further places, where a request does not refer to a resource but may still reach it: deeper in the path, and
-- in members of the body and arguments of the query that are named like an id.
-- @param request table from `reading.read`
-- @return string[] plain ids
function _M.others(request)
    local ids = add({}, below_subject(request.operation))
    add(ids, request.facts and request.facts.mentions or {})
    return collections.is_stored(request.operation) and add(ids, query.ids(request.target)) or ids
end

return _M
