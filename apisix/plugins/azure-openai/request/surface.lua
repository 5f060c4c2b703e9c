--- Reads a request path: which surface it is on, which operation it names, and which deployment.
local memo = require("apisix.plugins.azure-openai.base.memo")
local surfaces = require("apisix.plugins.azure-openai.base.surfaces")

local string_char = string.char
local tonumber = tonumber

-- When encoded, these could end a segment or not.
local SEPARATORS = "[./\\]"

local _M = {}

local function has_encoded_separator(path)
    for hex in path:gmatch("%%(%x%x)") do
        if string_char(tonumber(hex, 16)):find(SEPARATORS) then
            return true
        end
    end
    return false
end

-- Whether the segment below /openai/ that names the surface is encoded, or in another case.
local function has_odd_kind(path)
    local first = path:match("^/openai/([^/]*)")
    if not first then
        return false
    end
    local lower = first:lower()
    return first:find("%", 1, true) ~= nil or (first ~= lower and (lower == "deployments" or lower == "v1"))
end

local is_plain_path = memo.of(function(path)
    return surfaces.of_path(path) ~= nil
        and not (
            path:find("//", 1, true)
            or path:find("\\", 1, true)
            or path:find("/%.%.?/")
            or path:find("/%.?%.?$")
            or has_encoded_separator(path)
            or has_odd_kind(path)
        )
end)

--- Whether a raw request target has only one spelling. The gateway decides by the path, and a backend gets it as it was
-- sent, so another spelling could mean different things to the two.
-- @param target string path and query as the client sent them, on a surface once it is normalised
-- @return boolean
function _M.is_plain(target)
    local query_at = target:find("?", 1, true)
    return is_plain_path(query_at and target:sub(1, query_at - 1) or target)
end

--- Leaves out the empty segments at the beginning, as an endpoint that ends in "/" makes them:
---
---     "//openai/v1/models" -> "/openai/v1/models"
---
--- @param target string path and query
--- @return string
function _M.without_leading_slashes(target)
    return (target:gsub("^/+", "/"))
end

--- Leaves out the prefix of a route, where there is one:
---
---     ("/usage-tracking/openai/v1/models", "/usage-tracking") -> "/openai/v1/models"
---
--- @param path string begins with the prefix, unless the client encoded it
--- @param prefix string|nil
--- @return string
function _M.without_prefix(path, prefix)
    if not prefix or path:sub(1, #prefix + 1) ~= prefix .. "/" then
        return path
    end
    return _M.without_leading_slashes(path:sub(#prefix + 1))
end

local function split(uri)
    local surface = surfaces.of_path(uri)
    if surface and surface ~= surfaces.OPENAI then
        return surface.name, uri:sub(#surface.path + 1)
    end
    local deployment, operation = uri:match("^/openai/deployments/([^/]+)/(.+)$")
    if deployment then
        return "deployments", operation, deployment
    end
    operation = uri:match("^/openai/v1/(.+)$")
    if operation then
        return "v1", operation
    end
    return "plain", uri:match("^/openai/(.+)$") or ""
end

local parts_of = memo.of(function(uri)
    local kind, operation, deployment = split(uri)
    return { kind = kind, operation = operation, deployment = deployment }
end)

--- Splits a normalised path:
--
--     "/openai/deployments/gpt-4o/chat/completions" -> "deployments", "chat/completions", "gpt-4o"
--     "/openai/v1/responses" -> "v1", "responses"
--     "/anthropic/v1/messages" -> "anthropic", "messages"
--     "/models/embeddings" -> "inference", "embeddings"
--
-- @param uri string decoded path without query
-- @return string kind "deployments", "v1" or "plain" (for example `/openai/responses?api-version=`) on the surface of
--   Azure OpenAI, else the name of the surface
-- @return string operation the path behind the surface's prefix, for example "chat/completions"
-- @return string|nil deployment, on the deployments surface only
function _M.parse(uri)
    local parts = parts_of(uri)
    return parts.kind, parts.operation, parts.deployment
end

--- Whether the words of an operation are written plainly. A backend may drop what stands behind one ("files;a",
-- "completions%20"), and the gateway would not know the operation. Ids may be odd: `stored_ids` reads them as a backend
-- would.
-- @param operation string decoded
-- @return boolean
_M.has_plain_words = memo.of(function(operation)
    local is_first = true
    for segment in operation:gmatch("[^/]+") do
        local is_id = not is_first and segment:find("[_-]") ~= nil
        if not is_id and segment:find("[^%w_.:-]") then
            return false
        end
        is_first = false
    end
    return true
end)

--- Replaces the deployment in a raw request target; every other byte stays:
--
--     ("/openai/deployments/gpt-4o/embeddings?a=1", "mine") -> "/openai/deployments/mine/embeddings?a=1"
--
-- @param target string path and query as the client sent them
-- @param deployment string
-- @return string
function _M.rename(target, deployment)
    local escaped = ngx.escape_uri(deployment)
    return (
        target:gsub("^(/openai/deployments/)[^/?]+", function(prefix)
            return prefix .. escaped
        end, 1)
    )
end

return _M
