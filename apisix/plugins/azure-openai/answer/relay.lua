--- Hands the winner's answer to the client: its head, then its body as it arrives.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local accounting = require("apisix.plugins.azure-openai.account.accounting")
local event_stream = require("apisix.plugins.azure-openai.answer.event_stream")
local headers = require("apisix.plugins.azure-openai.attempt.headers")
local lessons = require("apisix.plugins.azure-openai.outcome.outcomes")
local served_model = require("apisix.plugins.azure-openai.account.served_model")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")
local usage = require("apisix.plugins.azure-openai.account.usage")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local table_concat = table.concat

-- Answers whose length would say something of a body that they never have (RFC 9110, section 8.6).
local WITHOUT_BODY = { [204] = true, [304] = true }

local _M = {}

local function attempts_line(trail)
    local parts = {}
    for index, entry in ipairs(trail) do
        parts[index] = entry.backend .. ":" .. entry.status
    end
    return table_concat(parts, ",")
end

--- Sets status and headers of the client's answer. Nothing is sent yet.
-- @param pool table
-- @param answer table from `exchange.run`
function _M.head(ctx, pool, answer)
    local state = ctx.azure_openai
    ctx.azure_openai_shaped = true
    ngx.status = answer.status
    headers.to_client(answer.headers)
    state.backend_request_id = answer.headers["x-request-id"]
    state.is_stream = answer.event_stream ~= nil
    if answer.body and ctx.var.request_method ~= "HEAD" and not WITHOUT_BODY[answer.status] then
        ngx.header["Content-Length"] = #answer.body
    end

    if pool.expose_backend_headers then
        ngx.header["x-gateway-backend"] = state.winner and state.winner.name
        if #state.trail > 0 then
            ngx.header["x-gateway-attempts"] = attempts_line(state.trail)
        end
    end
end

-- Binary answers (audio, file content): any size, passed on as they are read.
local function send_chunks(state, pool, answer, emit)
    local connection = answer.connection
    local read = upstream.reader(connection)
    while true do
        local chunk, err = read()
        if err then
            upstream.close(connection)
            core.log.warn("azure-openai: the answer of backend '", answer.backend.name, "' broke: ", err)
            lessons.interrupted(pool, answer, err)
            state.error = "answer_interrupted"
            -- An error after the headers cuts the connection: the client must see that the answer is short.
            return ngx.exit(ngx.ERROR)
        end
        if not chunk then
            upstream.release(connection)
            lessons.completed(answer)
            return nil
        end
        state.first_output_at = state.first_output_at or ngx_now()
        if not emit(chunk) then
            state.error = "client_gone"
            upstream.close(connection)
            return nil
        end
    end
end

--- Sends the body; afterwards the client has its whole answer.
-- @param pool table
-- @param answer table from `exchange.run`
function _M.body(ctx, pool, answer)
    local state = ctx.azure_openai
    local function emit(text)
        return plugin.lua_response_filter(ctx, answer.headers, text, nil, true)
    end

    if answer.body and #answer.body > 0 then
        state.usage = usage.of_body(answer.body)
        state.model = served_model.of_body(answer.body)
        state.first_output_at = ngx_now()
        emit(answer.body)
    else
        -- Also keeps nginx from going on to its content phase when the body turns out to be empty.
        ngx.send_headers()
        if answer.event_stream then
            event_stream.send(state, pool, answer, emit)
        elseif answer.connection then
            send_chunks(state, pool, answer, emit)
        end
        ngx.flush(true)
    end
    accounting.publish(ctx, state)
end

return _M
