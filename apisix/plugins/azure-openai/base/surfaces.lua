--- The surfaces of a resource, each by a description: where it begins, and what differs from the others.
--
-- `request/surface.lua` reads the paths below; what a request does is told by its operation (`request/operations.lua`).
local core = require("apisix.core")

local ipairs = ipairs
local has_prefix = core.string.has_prefix

---@class Surface
---@field name string as in AZURE_OPENAI_SURFACES_<N>
---@field path string where its paths begin
---@field has_anthropic_errors boolean|nil errors have Anthropic's shape; else OpenAI's
---@field key_header string|nil a further header in which its clients send their key
---@field paging string what stands behind "after" and "before" in the query of its lists
---@field provider string in traces (gen_ai.provider.name)

local _M = {}

--- Azure OpenAI: the v1 surface, the deployments surface, and the resources beside them.
---@type Surface
_M.OPENAI = { name = "openai", path = "/openai/", paging = "", provider = "azure.ai.openai" }

--- Claude on Foundry.
---@type Surface
_M.ANTHROPIC = {
    name = "anthropic",
    path = "/anthropic/v1/",
    has_anthropic_errors = true,
    key_header = "x-api-key",
    paging = "_id",
    provider = "anthropic",
}

--- The model inference API of Foundry.
---@type Surface
_M.INFERENCE = { name = "inference", path = "/models/", paging = "", provider = "azure.ai.inference" }

local ALL = { _M.OPENAI, _M.ANTHROPIC, _M.INFERENCE }

--- The surface that a path is on.
-- @param path string with or without a query
-- @return Surface|nil
function _M.of_path(path)
    for _, surface in ipairs(ALL) do
        if has_prefix(path, surface.path) then
            return surface
        end
    end
    return nil
end

return _M
