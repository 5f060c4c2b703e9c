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
local string_find = string.find
local string_gsub = string.gsub
local string_sub = string.sub
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
-- What changes from request to request, and is no text for the model: marks of the cache, which move along with the end
-- of the history, and the first line of Claude Code's system text. So much more is read, because it is left out.
local CHANGING = {
    { name = '"cache_control"', pattern = ',%s*"cache_control"%s*:%s*%b{}' },
    { name = "x-anthropic-billing-header:", pattern = 'x%-anthropic%-billing%-header:[^"\\]*' },
}
local CHANGING_BYTES = 512

local _M = {}

local function steady(text)
    for _, changing in ipairs(CHANGING) do
        if string_find(text, changing.name, 1, true) then
            text = string_gsub(text, changing.pattern, "")
        end
    end
    return text
end

-- The first bytes of a part of the body.
local function first(body, from, to, bytes)
    local length = math_min(to - from, bytes + CHANGING_BYTES)
    return length > 0 and string_sub(steady(request_body.slice(body, from, length)), 1, bytes) or ""
end

-- The last bytes of a part of the body.
local function last(body, from, to, bytes)
    local start = math_max(from, to - bytes - CHANGING_BYTES)
    return to > start and string_sub(steady(request_body.slice(body, start, to - start)), -bytes) or ""
end

-- Where the messages begin, where the first one of a user ends, and where the first answer begins.
local function places(facts)
    for _, name in ipairs(MESSAGES) do
        local member = facts.members[name]
        if member then
            local stop = member.offset + member.length
            local is_list = member.kind == "list"
            local first_end = is_list and facts.first_user_end or stop
            return member.offset, first_end, is_list and facts.asked_end or first_end
        end
    end
    return 0, 0, 0
end

local function beginning(request)
    local parts = { request.deployment }
    for _, name in ipairs(BEFORE) do
        local member = request.facts.members[name]
        parts[#parts + 1] = member
                and first(request.body, member.offset, member.offset + member.length, BEFORE_BYTES)
            or ""
    end
    local from, first_end = places(request.facts)
    parts[#parts + 1] = last(request.body, from, first_end, MESSAGES_BYTES)
    return table_concat(parts, "\n")
end

--- What tells the conversation of a request from others.
-- @param request Request
-- @param client string two clients never have the same key, so nobody learns of others' prompts
-- @return number|nil 32 bits that conversations of one kind share: where they begin, they have the same backend; nil
--  when the prompt of the request is not kept
-- @return string|nil the conversation itself, by all that was asked before the first answer
function _M.keys(request, client)
    local facts = request.facts
    if not facts or not OPERATIONS[request.operation] or size.prompt(request) < LEAST_TOKENS then
        return nil
    end
    local given = facts.members.prompt_cache_key
    local has_given = given ~= nil and given.kind == "string" and given.value ~= ""
    local kind = ngx_crc32(client .. "\n" .. (has_given and given.value or beginning(request)))
    local from, _, asked_end = places(facts)
    return kind, kind .. "|" .. ngx_crc32(last(request.body, from, asked_end, MESSAGES_BYTES))
end

return _M
