--- Which model answered, as the backend reports it: a deployment's name need not say so.
local core = require("apisix.core")
local json_edit = require("apisix.plugins.azure-openai.base.json_edit")

local type = type
local pcall = pcall

-- Within a JSON string the quotes would be escaped, so no text that a model writes looks like this.
local MEMBER = '"model"%s*:%s*"([^"\\]+)"'

local _M = {}

--- The model of a JSON answer.
-- @param body string
-- @return string|nil
function _M.of_body(body)
    if body:byte(1) ~= 123 or not body:find(MEMBER) then
        return nil
    end
    local ok, text = pcall(json_edit.get, body, "model")
    local model = ok and text and core.json.decode(text)
    return type(model) == "string" and model or nil
end

--- The model that a block of events names first. Chunks before the first output may leave it empty.
-- @param block string
-- @return string|nil
function _M.of_events(block)
    return block:match(MEMBER)
end

return _M
