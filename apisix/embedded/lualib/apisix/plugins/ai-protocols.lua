--- Judges which AI protocol a JSON request speaks, by its path and body, in APISIX 3.18's order.
local ipairs = ipairs
local next = next
local sub = string.sub
local type = type

local _M = {}

local function ends_with(ctx, suffix)
    return sub(ctx.var.uri, -#suffix) == suffix
end

local function stream_field(body)
    return body.stream == true
end

local PROTOCOLS = {
    {
        name = "bedrock-converse",
        matches = function(body, ctx)
            return ends_with(ctx, "/converse") and type(body.messages) == "table"
        end,
        is_streaming = stream_field,
    },
    {
        name = "anthropic-messages",
        matches = function(_, ctx)
            return ends_with(ctx, "/v1/messages")
        end,
        is_streaming = stream_field,
    },
    {
        name = "openai-responses",
        matches = function(body, ctx)
            return ends_with(ctx, "/v1/responses") and body.input ~= nil
        end,
        is_streaming = stream_field,
    },
    {
        name = "openai-chat",
        matches = function(body)
            return type(body.messages) == "table"
        end,
        is_streaming = stream_field,
    },
    {
        name = "openai-embeddings",
        matches = function(body)
            return body.input ~= nil
        end,
        is_streaming = function()
            return false
        end,
    },
    {
        name = "passthrough",
        matches = function(body)
            return next(body) ~= nil
        end,
        is_streaming = stream_field,
    },
}

--- The protocol of a request: { name, matches, is_streaming }.
-- Returns nil when the body is no JSON object or list, or is empty.
function _M.detect(body, ctx)
    if type(body) ~= "table" then
        return nil
    end
    for _, protocol in ipairs(PROTOCOLS) do
        if protocol.matches(body, ctx) then
            return protocol
        end
    end
    return nil
end

return _M
