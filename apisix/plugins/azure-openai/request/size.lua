--- Estimates how many tokens a request takes of a deployment's quota.
local ipairs = ipairs
local math_ceil = math.ceil
local math_floor = math.floor
local math_min = math.min

-- English prose has about four bytes a token.
local BYTES_PER_TOKEN = 4

-- Each surface has its own name for the most tokens that a model may write.
local MAXIMA = { "max_completion_tokens", "max_tokens", "max_output_tokens" }
-- How often it shall write.
local TIMES = { "n", "best_of" }
-- What a client writes can be any number.
local MOST_TOKENS, MOST_TIMES = 1e9, 1000

local _M = {}

-- The first of some members that is a positive number; nil when none is.
local function first_positive(facts, names, most)
    for _, name in ipairs(names) do
        local member = facts.members[name]
        local value = member and member.kind == "number" and member.value
        if value and value >= 1 then
            return math_min(math_floor(value), most)
        end
    end
    return nil
end

--- Estimates the prompt. Images and files, which stand in a body as data URLs, are left out.
-- @param request Request
-- @return number tokens
function _M.prompt(request)
    if not request.body then
        return 0
    end
    local base64_bytes = request.facts and request.facts.base64_bytes or 0
    return math_ceil((request.body.size - base64_bytes) / BYTES_PER_TOKEN)
end

--- Estimates the prompt and the answers. Without a maximum, the answers are left out.
--
--     a prompt of 400 bytes, {"max_tokens":100,"n":2} -> 300
--
-- @param request Request
-- @return number tokens
function _M.total(request)
    local prompt, facts = _M.prompt(request), request.facts
    local maximum = facts and first_positive(facts, MAXIMA, MOST_TOKENS)
    if not maximum then
        return prompt
    end
    return prompt + maximum * (first_positive(facts, TIMES, MOST_TIMES) or 1)
end

return _M
