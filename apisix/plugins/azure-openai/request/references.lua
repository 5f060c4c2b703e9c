--- The stored resources that a request refers to: responses, conversations, files, vector stores, containers.
local collections = require("apisix.plugins.azure-openai.request.collections")
local operations = require("apisix.plugins.azure-openai.request.operations")

local ipairs = ipairs

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

--- The ids of stored resources that a request refers to, the most telling first.
-- @param request table from `reading.read`
-- @return table list of a few strings
function _M.of(request)
    local ids = {}
    if collections.is_stored(request.operation) then
        ids[1] = _M.in_path(request.operation)
    end
    for _, id in ipairs(request.facts and request.facts.references or request.form_references) do
        ids[#ids + 1] = id
    end
    return ids
end

--- Whether a request certainly refers to nothing that one backend alone may have.
-- @param request table from `reading.read`
-- @return boolean false when the gateway cannot tell
function _M.has_none(request)
    return operations.is_inference(request)
        and not _M.in_path(request.operation)
        and request.facts ~= nil
        and not request.facts.refers
end

return _M
