--- What is paid by other units than tokens: characters that are spoken and images that are made, read from the request,
--- because their answers are sound or report no usage; and seconds of videos, which a finished video reports.
local tonumber = tonumber
local type = type

local IMAGES = { ["images/generations"] = true, ["images/edits"] = true, ["images/variations"] = true }
local MOST_IMAGES = 100
local MOST_VIDEO_SECONDS = 3600
-- Larger ones cost more.
local MOST_PIXELS = 1280 * 720

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

local function is_large(size)
    local width, height = (type(size) == "string" and size or ""):match("^(%d+)x(%d+)$")
    return width ~= nil and width * height > MOST_PIXELS
end

--- The usage of a video that is done. Before, it reports the same, but it may still fail, and then costs nothing.
--
--     {"object":"video","status":"completed","seconds":"8","size":"1280x720"} -> { video_seconds = 8, … }
--
-- @param members table of the answer: object, status, seconds, size
-- @return Usage|nil
function _M.of_video(members)
    local seconds = tonumber(members.seconds)
    if members.object ~= "video" or members.status ~= "completed" or not seconds then
        return nil
    end
    if not (seconds > 0 and seconds <= MOST_VIDEO_SECONDS) then
        return nil
    end
    return new(is_large(members.size) and "large_video_seconds" or "video_seconds", seconds)
end

--- Whether a usage is that of a video.
-- @param usage Usage
-- @return boolean
function _M.is_of_video(usage)
    return (usage.video_seconds or usage.large_video_seconds) ~= nil
end

return _M
