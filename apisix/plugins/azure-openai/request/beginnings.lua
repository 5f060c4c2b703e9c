--- What the requests of one conversation have in common: the key that the client gives, or how their prompt begins.
--
-- Azure keeps the work on the beginning of a prompt for minutes, per resource. So requests that begin alike should meet
-- the same resource again.
local request_body = require("apisix.plugins.azure-openai.request.body")
local size = require("apisix.plugins.azure-openai.request.size")

local ngx_crc32 = ngx.crc32_long
local ipairs = ipairs
local math_max = math.max
local math_min = math.min
local table_concat = table.concat

-- Their prompts are kept.
local OPERATIONS = {
    ["chat/completions"] = true,
    ["completions"] = true,
    ["responses"] = true,
    ["messages"] = true,
}
-- Shorter prompts are not kept.
local LEAST_TOKENS = 1024
-- What stands before the messages. So much of the beginning of each tells conversations of different kinds apart.
local BEFORE = { "tools", "system", "instructions" }
local BEFORE_BYTES = 4096
-- Where the messages are; the first one of a user tells conversations of one kind apart.
local MESSAGES = { "messages", "input", "prompt" }
local MESSAGES_BYTES = 8192

local _M = {}

local function slice(body, from, to)
    return to > from and request_body.slice(body, from, to - from) or ""
end

-- The messages through the first one of a user.
local function first_messages(request)
    local facts = request.facts
    for _, name in ipairs(MESSAGES) do
        local member = facts.members[name]
        if member then
            local stop = member.offset + member.length
            if member.kind == "list" then
                stop = facts.first_user_end or stop
            end
            return slice(request.body, math_max(member.offset, stop - MESSAGES_BYTES), stop)
        end
    end
    return ""
end

local function beginning(request)
    local parts = { request.deployment }
    for _, name in ipairs(BEFORE) do
        local member = request.facts.members[name]
        local length = member and math_min(member.length, BEFORE_BYTES) or 0
        parts[#parts + 1] = member and slice(request.body, member.offset, member.offset + length) or ""
    end
    parts[#parts + 1] = first_messages(request)
    return table_concat(parts, "\n")
end

--- The key of a request's conversation.
-- @param request Request
-- @param client string two clients never have the same key, so nobody learns of others' prompts
-- @return number|nil 32 bits; nil when the prompt of the request is not kept
function _M.key(request, client)
    local facts = request.facts
    if not facts or not OPERATIONS[request.operation] or size.prompt(request) < LEAST_TOKENS then
        return nil
    end
    local given = facts.members.prompt_cache_key
    local has_given = given ~= nil and given.kind == "string" and given.value ~= ""
    return ngx_crc32(client .. "\n" .. (has_given and given.value or beginning(request)))
end

return _M
