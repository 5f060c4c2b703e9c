--- Serves a request whole: finds the answer, sends it, accounts for it. Every answer of a backend leaves by this door.
--
-- Two callers, because ai-proxy-multi wants the head before the body: it takes `begin` and `finish`, the passthrough
-- plugin one after the other.
local accounting = require("apisix.plugins.azure-openai.account.accounting")
local relay = require("apisix.plugins.azure-openai.answer.relay")
local exchange = require("apisix.plugins.azure-openai.exchange")

local _M = {}

--- Finds the answer and sets status and headers of the client's answer. Nothing is sent yet.
-- @param ctx table request context
-- @return Answer
function _M.begin(ctx)
    local state = ctx.azure_openai
    accounting.prepare(state)
    local answer = exchange.run(ctx, state)
    relay.head(ctx, state, answer)
    return answer
end

--- Sends the body; afterwards the client has its whole answer.
-- @param ctx table request context
-- @param answer Answer from `begin`
function _M.finish(ctx, answer)
    local state = ctx.azure_openai
    relay.body(ctx, state, answer, accounting.meter(state))
    accounting.publish(ctx, state)
end

return _M
