--- Reads a request path: which Azure OpenAI surface it is on and which deployment it names.
local _M = {}

--- Splits a normalised path.
-- @param uri string decoded path without query
-- @return string kind "deployments", "v1" or "plain" (for example `/openai/responses?api-version=`)
-- @return string operation the path behind the surface's prefix, for example "chat/completions"
-- @return string|nil deployment, on the deployments surface only
function _M.parse(uri)
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

--- Replaces the deployment in a raw request target, leaving every other byte.
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
