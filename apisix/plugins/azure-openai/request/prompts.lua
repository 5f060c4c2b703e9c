--- The texts that a request says to a model, in its JSON body or in its form, in any role.
local core = require("apisix.core")
local pause = require("apisix.plugins.azure-openai.base.pause")
local json_texts = require("apisix.plugins.azure-openai.request.json_texts")
local multipart = require("apisix.plugins.azure-openai.request.multipart")
local request_body = require("apisix.plugins.azure-openai.request.body")

local ipairs = ipairs
local has_prefix = core.string.has_prefix

-- These run prompts from a file, or prompts that come later.
local OUT_OF_SIGHT = { ["/batches"] = true, ["/evals"] = true, ["/messages/batches"] = true }
local SESSIONS = "^realtime/"
-- Uploads are stored; no model reads them now.
local FILES = { ["/files"] = true, ["/uploads"] = true, ["/containers"] = true }
-- The field of a form that a model reads, for pictures, sound and videos.
local FIELD = "prompt"

local _M = {}

local function each_in_json(request, visit)
    -- A list, or text that is no JSON, could say anything.
    if not request.facts or request.facts.has_tokens then
        return false
    end
    return json_texts.each(request.body, pause, visit)
end

local function each_in_form(request, content_type, visit)
    local places, is_plain = multipart.locate(request.body, content_type, FIELD, pause)
    for _, place in ipairs(places) do
        local is_too_long = place.length > json_texts.LONGEST_TEXT_BYTES
        local text = not is_too_long and request_body.slice(request.body, place.offset, place.length) or nil
        local result = text ~= "" and visit(text, true) or nil
        if result ~= nil then
            return true, result
        end
    end
    return is_plain
end

--- Passes the texts of a request on, one by one, until one has a result.
-- @param request table from `reading.read`
-- @param visit function(text, is_users) -> result or nil. `is_users` tells whether these are a user's words; the text
--   is nil when it has more than 4 MB.
-- @return boolean whether the gateway could see the texts
-- @return any the result
function _M.each(request, visit)
    if request.is_upgrade then
        return false
    end
    if not request.body then
        return true
    end
    if OUT_OF_SIGHT[request.resource] or request.operation:lower():find(SESSIONS) then
        return false
    end
    local content_type = request.headers["content-type"] or "application/json"
    local media_type = content_type:lower()
    if has_prefix(media_type, "application/json") then
        return each_in_json(request, visit)
    end
    if not has_prefix(media_type, "multipart/form-data") then
        return false
    end
    if FILES[request.resource] then
        return true
    end
    return each_in_form(request, content_type, visit)
end

return _M
