--- Asks for the token usage of a stream that would not report it.
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")

local ngx = ngx
local pairs = pairs
local type = type

-- The first api-version that accepts stream_options on the deployments surface.
local FIRST_VERSION_WITH_STREAM_OPTIONS = "2024-09-01"

local _M = {}

local function accepts_stream_options(kind, ctx)
    if kind == "v1" then
        return true
    end
    local version = ctx.var.arg_api_version or ctx.var["arg_api-version"]
    return type(version) == "string" and version:sub(1, 10) >= FIRST_VERSION_WITH_STREAM_OPTIONS
end

--- Adds `stream_options.include_usage` where the backend accepts it and the client has not decided itself:
--
--     {"stream":true,"messages":[]} -> {"stream_options":{"include_usage":true},"stream":true,"messages":[]}, true
--
-- @param kind string surface
-- @param operation string
-- @param decoded table the request body
-- @param text string the request body
-- @return string the body to send
-- @return boolean whether it was added: the client must not see the usage chunk then
function _M.ask_for_usage(ctx, kind, operation, decoded, text)
    local options = decoded.stream_options
    local is_undecided = options == nil
        or options == ngx.null
        or (type(options) == "table" and options.include_usage == nil)
    if
        decoded.stream ~= true
        or (operation ~= "chat/completions" and operation ~= "completions")
        or not is_undecided
        or not accepts_stream_options(kind, ctx)
    then
        return text, false
    end

    local asked = { include_usage = true }
    if type(options) == "table" then
        for name, value in pairs(options) do
            asked[name] = value
        end
    end
    return json_edit.set(text, "stream_options", asked), true
end

return _M
