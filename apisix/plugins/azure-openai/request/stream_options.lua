--- Asks for the token usage of a stream that would not report it.
local json_members = require("apisix.plugins.azure-openai.base.json_members")
local json_facts = require("apisix.plugins.azure-openai.request.json_facts")
local request_body = require("apisix.plugins.azure-openai.request.body")

local ipairs = ipairs
local type = type

-- The first api-version that accepts stream_options on the deployments surface.
local FIRST_VERSION_WITH_STREAM_OPTIONS = "2024-09-01"
-- The client's own options are much shorter.
local LONGEST_OPTIONS_BYTES = 4096
local ASKED = '"include_usage":true'
local IS_UNASKED = { ["false"] = true, ["null"] = true }

-- How errors name what the gateway has added.
local NAMES = { "stream_options", "stream options", "include_usage" }

local _M = {}

-- The inference surface refuses what is not its own, unless the client says that the model shall see it.
local FURTHER_PARAMETERS, PASSED = "extra-parameters", "pass-through"

local function accepts_stream_options(request, ctx)
    if request.kind == "inference" then
        return request.headers[FURTHER_PARAMETERS] == PASSED
    end
    if request.kind == "v1" then
        return true
    end
    local version = ctx.var.arg_api_version or ctx.var["arg_api-version"]
    return type(version) == "string" and version:sub(1, 10) >= FIRST_VERSION_WITH_STREAM_OPTIONS
end

-- The edit of options that do not ask for the usage; nil when they ask, or are unreadable. Offsets count in the body.
local function edit_options(body, member)
    if member.kind == "null" then
        return { offset = member.offset, length = member.length, text = "{" .. ASKED .. "}" }
    end
    if member.kind ~= "object" or member.length > LONGEST_OPTIONS_BYTES then
        return nil
    end
    local text = request_body.slice(body, member.offset, member.length)
    local places = json_members.locate(text, { include_usage = true })
    if not places then
        return nil
    end
    local place = places.include_usage
    if not place then
        local separator = text:find("^{%s*}") and "" or ","
        return { offset = member.offset + 1, length = 0, text = ASKED .. separator }
    end
    if not IS_UNASKED[text:sub(place[1], place[2])] then
        return nil
    end
    return { offset = member.offset + place[1] - 1, length = place[2] - place[1] + 1, text = "true" }
end

--- How the body has to change to ask for the usage, where the backend accepts it and the client does not ask itself. A
--- client's `false` is about what it sees, not about what it may use.
--
--     {"stream":true,"messages":[]} -> { offset = 1, length = 0, text = '"stream_options":{"include_usage":true},' }
--
-- @param request table from `reading.read`
-- @return table|nil edit for `request_body.with_edits`
function _M.edit(ctx, request)
    local operation, facts = request.operation, request.facts
    if
        not facts
        or not json_facts.is_true(request.facts, "stream")
        or (operation ~= "chat/completions" and operation ~= "completions")
        or not accepts_stream_options(request, ctx)
    then
        return nil
    end
    if facts.members.stream_options then
        return edit_options(request.body, facts.members.stream_options)
    end
    return { offset = facts.head, length = 0, text = '"stream_options":{' .. ASKED .. "}," }
end

local function is_clients_own(request)
    local options = request.facts.members.stream_options
    return options ~= nil and options.kind ~= "null"
end

local function names_options(body)
    local text = body:lower()
    for _, name in ipairs(NAMES) do
        if text:find(name, 1, true) then
            return true
        end
    end
    return false
end

--- Whether a request brings data of its own (Azure's "on your data"). Deployments that report the usage of other
--- streams do not report it then.
-- @param request Request
-- @return boolean
function _M.has_data(request)
    return request.facts.members.data_sources ~= nil
end

--- Whether an error is about options that the gateway has added: it names them, or it is a 400 of a request with data,
--- which may say little. The client's own options, even when the gateway has changed them, are the client's to correct.
-- @param request Request as it was sent
-- @param status number
-- @param body string|nil
-- @return boolean
function _M.are_refused(request, status, body)
    if not request.as_sent or not (status == 400 or status == 422) or not body or is_clients_own(request) then
        return false
    end
    local is_filtered = body:find("content_filter", 1, true) ~= nil
    return names_options(body) or (status == 400 and _M.has_data(request) and not is_filtered)
end

return _M
