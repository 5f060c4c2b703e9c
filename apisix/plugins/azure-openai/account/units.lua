--- What is paid by other units than tokens, read from the request: characters that are spoken, images that are made.
--- The answers do not say it: they are sound, or report no usage.
local IMAGES = { ["images/generations"] = true, ["images/edits"] = true, ["images/variations"] = true }
local MOST_IMAGES = 100

local _M = {}

local function new(unit, amount)
    return {
        prompt = 0,
        completion = 0,
        total = 0,
        cached = 0,
        reasoning = 0,
        [unit] = amount,
        estimated = false,
    }
end

-- "naïve" -> 5. Of a long text the bytes are counted, as they stand in the body.
local function characters(member)
    local text = member.value
    if member.length > #text + 2 then
        return member.length
    end
    local _, following = text:gsub("[\128-\191]", "")
    return #text - following
end

--- The usage of a request whose answer reports none.
-- @param request Request that a model has served
-- @return Usage|nil
function _M.of_request(request)
    local members = request.facts and request.facts.members or {}
    local operation = request.operation:lower()
    local input, count = members.input, members.n
    if operation == "audio/speech" and input and input.kind == "string" then
        return new("characters", characters(input))
    end
    if IMAGES[operation] then
        local images = count and count.kind == "number" and count.value or 1
        local is_possible = images >= 1 and images <= MOST_IMAGES and images % 1 == 0
        return new("images", is_possible and images or 1)
    end
    return nil
end

return _M
