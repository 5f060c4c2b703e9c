--- What APISIX's own AI plugins see of a JSON body.
--
-- ai-proxy-multi would decode the whole body, to look at four members of it. It looks first into the request context,
-- where APISIX keeps a body that has been decoded, so the gateway leaves these members there.
local core = require("apisix.core")
local json_facts = require("apisix.plugins.azure-openai.request.json_facts")

local has_prefix = core.string.has_prefix

-- The AI plugins that need no more of a body.
local CONTENT_WITH_LITTLE = { ["ai-proxy-multi"] = true, ["ai-rate-limiting"] = true }

local _M = {}

--- Whether the route has AI plugins that read or change the body.
-- @param ctx table request context
-- @return boolean
function _M.is_wanted_whole(ctx)
    for index = 1, #ctx.plugins, 2 do
        local name = ctx.plugins[index].name
        if has_prefix(name, "ai-") and not CONTENT_WITH_LITTLE[name] then
            return true
        end
    end
    return false
end

--- Leaves what ai-proxy-multi needs to tell chats, responses, embeddings and streams apart. Other AI plugins get the
--- whole body from APISIX, which decodes it.
-- @param ctx table request context
-- @param facts Facts
function _M.offer(ctx, facts)
    if _M.is_wanted_whole(ctx) then
        return
    end
    local members = facts.members
    local messages = members.messages
    ctx._request_body_type = "application/json"
    ctx._request_body_table = {
        model = members.model and members.model.value,
        messages = messages and (messages.kind == "list" or messages.kind == "object") and {} or nil,
        input = members.input and true,
        -- Never nil: ai-proxy-multi refuses an empty table.
        stream = json_facts.is_true(facts, "stream"),
    }
end

return _M
