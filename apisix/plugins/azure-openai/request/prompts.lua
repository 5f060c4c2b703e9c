--- The texts that a request says to a model, in its JSON body or in its form, in any role.
local core = require("apisix.core")
local multipart = require("apisix.plugins.azure-openai.request.multipart")
local request_body = require("apisix.plugins.azure-openai.request.body")

local ipairs = ipairs
local pairs = pairs
local type = type
local has_prefix = core.string.has_prefix
local table_concat = table.concat

-- These run prompts from a file, or prompts that come later.
local OUT_OF_SIGHT = { ["/batches"] = true, ["/evals"] = true }
local SESSIONS = "^realtime/"
-- Uploads are stored; no model reads them now.
local FILES = { ["/files"] = true, ["/uploads"] = true, ["/containers"] = true }
-- The field of a form that a model reads, for pictures, sound and videos.
local FIELD = "prompt"
-- Members that hold a user's words, unless their object has another role or is no message.
local SPOKEN = { prompt = true, input = true, content = true }
-- Words of the protocol, which a backend checks.
local WORDS = { role = true, type = true, model = true }

local _M = {}

local function add(texts, text, is_users)
    if text ~= "" then
        texts[#texts + 1] = { text = text, is_users = is_users }
    end
end

-- A message can come in parts; a pattern may match only all of them together.
local function joined(parts)
    local texts = {}
    for _, part in ipairs(parts) do
        local text = type(part) == "table" and part.text or part
        if type(text) == "string" then
            texts[#texts + 1] = text
        end
    end
    return table_concat(texts, " ")
end

local function is_of_user(object)
    return object.role == "user" or (object.role == nil and (object.type == nil or object.type == "message"))
end

-- Adds the strings of a JSON value. `is_spoken` tells whether the strings of a list are a user's words.
local function add_strings(texts, value, is_spoken)
    local is_users = is_of_user(value)
    for name, member in pairs(value) do
        local is_said = is_spoken and type(name) == "number" or (is_users and SPOKEN[name] or false)
        if type(member) == "string" and not WORDS[name] then
            add(texts, member, is_said)
        elseif type(member) == "table" then
            if name == "content" then
                add(texts, joined(member), is_users)
            end
            add_strings(texts, member, is_said)
        end
    end
end

-- Prompts can also be given as numbers of tokens.
local function is_in_tokens(prompt)
    local first = type(prompt) == "table" and prompt[1]
    return type(first) == "number" or (type(first) == "table" and type(first[1]) == "number")
end

local function of_json(request)
    local decoded = request.decoded
    if not decoded then
        -- `{}` says nothing. A list, or text that is no JSON, could say anything.
        return request_body.text(request.body):find("^%s*{%s*}%s*$") and {} or nil
    end
    if is_in_tokens(decoded.prompt) or is_in_tokens(decoded.input) then
        return nil
    end
    local texts = {}
    add_strings(texts, decoded, false)
    return texts
end

local function of_form(request, content_type)
    local places, is_plain = multipart.locate(request.body, content_type, FIELD)
    if not is_plain then
        return nil
    end
    local texts = {}
    for _, place in ipairs(places) do
        add(texts, request_body.slice(request.body, place.offset, place.length), true)
    end
    return texts
end

--- The texts of a request.
-- @param request table from `reading.read`
-- @return table|nil list of { text, is_users (whether these are a user's words) }; nil when the gateway cannot see the
--   texts
function _M.of(request)
    if request.is_upgrade then
        return nil
    end
    if not request.body then
        return {}
    end
    if OUT_OF_SIGHT[request.resource] or request.operation:lower():find(SESSIONS) then
        return nil
    end
    local content_type = request.headers["content-type"] or "application/json"
    local media_type = content_type:lower()
    if has_prefix(media_type, "application/json") then
        return of_json(request)
    end
    if not has_prefix(media_type, "multipart/form-data") then
        return nil
    end
    return FILES[request.resource] and {} or of_form(request, content_type)
end

return _M
