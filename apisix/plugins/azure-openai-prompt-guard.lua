--- Refuses requests by what they say to a model. It also refuses requests whose prompts it cannot see.
--
-- It guards every path below /openai/: a prompt that is refused on one path must not pass on another.
local errors = require("apisix.plugins.azure-openai.base.errors")
local prompts = require("apisix.plugins.azure-openai.request.prompts")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local ipairs = ipairs
local re_find = ngx.re.find

local PLUGIN = "azure-openai-prompt-guard"
-- Compiled once and kept; patterns and texts are UTF-8.
local OPTIONS = "jou"
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 1072, -- after the limits, before the plugins that send the request
    name = PLUGIN,
    schema = document.schema,
    check_schema = schemas.checker(document),
}

local UNSEEN = "The prompt guard of this gateway is on, and it cannot see what this request says to a model: realtime "
    .. "sessions, batches, evals, prompts in tokens, and bodies that are neither JSON nor a plain form are refused."
local REFUSED = "The prompt guard of this gateway does not allow this prompt."
local UNREADABLE =
    "The prompt guard of this gateway cannot match this prompt: it is not UTF-8, too long, or too complex."

-- Whether a text matches one of the patterns; nil when the match fails.
local function matches(text, patterns)
    for _, pattern in ipairs(patterns or {}) do
        local from, _, err = re_find(text, pattern, OPTIONS)
        if err then
            return nil
        end
        if from then
            return true
        end
    end
    return false
end

-- Why a text is refused, or nil. A text that cannot be matched is refused; nil stands for one that is too long.
local function fault_of(conf, text, is_users)
    if not text then
        return UNREADABLE
    end
    local is_denied = matches(text, conf.deny_patterns)
    local is_allowed = not (conf.allow_patterns and is_users) or matches(text, conf.allow_patterns)
    if is_denied == nil or is_allowed == nil then
        return UNREADABLE
    end
    return (is_denied or not is_allowed) and REFUSED or nil
end

local function refuse(ctx, status, code, message)
    ctx.azure_openai.error = code
    return errors.respond(ctx, status, message, code)
end

function _M.access(conf, ctx)
    local is_visible, fault = prompts.each(ctx.azure_openai.request, function(text, is_users)
        return fault_of(conf, text, is_users)
    end)
    if not is_visible and websocket.is_optional(ctx.azure_openai.request) then
        return refuse(ctx, 426, "prompt_not_visible", UNSEEN .. " Use plain HTTP.")
    end
    if not is_visible then
        return refuse(ctx, 403, "prompt_not_visible", UNSEEN)
    end
    if fault then
        return refuse(ctx, 400, "prompt_not_allowed", fault)
    end
    return nil
end

return _M
