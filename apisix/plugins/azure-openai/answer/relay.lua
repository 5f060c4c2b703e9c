--- Sends the answer to the client: its head, then its body as it arrives.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local event_stream = require("apisix.plugins.azure-openai.answer.event_stream")
local tunnel = require("apisix.plugins.azure-openai.answer.tunnel")
local headers = require("apisix.plugins.azure-openai.attempt.headers")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")
local errors = require("apisix.plugins.azure-openai.base.errors")
local request_ids = require("apisix.plugins.azure-openai.base.request_ids")
local outcomes = require("apisix.plugins.azure-openai.outcome.outcomes")

local ngx = ngx
local ipairs = ipairs
local table_concat = table.concat

-- These answers have no body, and a length would promise one (RFC 9110, section 8.6).
local WITHOUT_BODY = { [204] = true, [304] = true }

local _M = {}

-- { {backend="eastus", status=429}, {backend="westus", status=200} } -> "eastus:429,westus:200"
local function attempts_line(trail)
    local parts = {}
    for index, entry in ipairs(trail) do
        parts[index] = entry.backend .. ":" .. entry.status
    end
    return table_concat(parts, ",")
end

-- Gives the gateway's own words the shape of the client's surface.
local function put_into_words(state, answer)
    answer.headers["content-type"] = "application/json"
    answer.body = errors.text(answer.status, answer.problem, state.request.surface)
end

--- Sets status and headers of the client's answer. Nothing is sent yet.
-- @param ctx table request context
-- @param state RequestState
-- @param answer Answer
function _M.head(ctx, state, answer)
    ctx.azure_openai_shaped = true
    if answer.problem then
        put_into_words(state, answer)
    end
    ngx.status = answer.status
    headers.to_client(answer.headers)
    if answer.upgrade then
        -- Hop-by-hop, so it never comes from a backend.
        ngx.header["Upgrade"] = answer.upgrade
    end
    if not answer.headers["content-type"] then
        -- nginx would add a type of its own.
        ngx.header["Content-Type"] = ""
    end
    local id = answer.headers["x-request-id"]
    state.backend_request_id = request_ids.is_plain(id) and id or nil
    state.is_stream = answer.event_stream ~= nil or answer.tunnel ~= nil
    if answer.body and ctx.var.request_method ~= "HEAD" and not WITHOUT_BODY[answer.status] then
        ngx.header["Content-Length"] = #answer.body
    end

    ngx.header["x-gateway-deployment"] = state.served_deployment
    if state.pool.expose_backend_headers then
        ngx.header["x-gateway-backend"] = state.winner and state.winner.name
        if #state.trail > 0 then
            ngx.header["x-gateway-attempts"] = attempts_line(state.trail)
        end
    end
end

-- Sends a body of any size, such as audio or a file, as it is read. The meter, if any, gets each piece, and nil at the
-- end.
local function send_chunks(state, answer, meter, emit)
    local connection = answer.connection
    while true do
        local chunk, err = connection.body:next()
        if err then
            upstream.close(connection)
            core.log.warn("azure-openai: the answer of backend '", answer.backend.name, "' broke: ", err)
            outcomes.failed(answer, err)
            state.error = "answer_interrupted"
            -- An error after the headers cuts the connection: the client must see that the answer is short.
            return ngx.exit(ngx.ERROR)
        end
        if meter then
            meter:document(chunk)
        end
        if not chunk then
            upstream.release(connection)
            outcomes.succeeded(answer)
            return nil
        end
        if not state.first_output_at then
            outcomes.has_output(state, answer)
        end
        if not emit(chunk) then
            state.error = "client_gone"
            upstream.close(connection)
            return nil
        end
    end
end

-- Lets the client have what was sent so far, and waits until it does. Returns false when the client is gone.
local function flush(ctx)
    ctx.azure_openai_flushes = true -- the hook leaves out what concerns bodies only
    local ok = ngx.flush(true)
    ctx.azure_openai_flushes = false
    return ok ~= nil
end

-- Sends the body of a stream or of a connection, if there is one. Apart from `body`, because LuaJIT does not compile a
-- function that makes others.
local function send_as_it_comes(ctx, state, answer, meter)
    local function emit(text)
        return plugin.lua_response_filter(ctx, answer.headers, text, true) and flush(ctx)
    end
    -- Also keeps nginx from going on to its content phase when the body turns out to be empty.
    ngx.send_headers()
    if answer.event_stream then
        if #answer.event_stream.held == 0 then
            -- The first event may take its time.
            flush(ctx)
        end
        event_stream.send(state, answer, meter, emit)
    elseif answer.connection then
        send_chunks(state, answer, answer.beginning and meter, emit)
    end
    flush(ctx)
    return nil
end

--- Sends the body; afterwards the client has its whole answer.
-- @param ctx table request context
-- @param state RequestState
-- @param answer Answer
-- @param meter table watches the body (account/accounting.lua)
function _M.body(ctx, state, answer, meter)
    if answer.tunnel then
        return tunnel.run(state, answer, meter.session)
    end
    if answer.body and #answer.body > 0 then
        meter:body(answer.body)
        outcomes.has_output(state, answer)
        plugin.lua_response_filter(ctx, answer.headers, answer.body, true)
        return nil
    end
    return send_as_it_comes(ctx, state, answer, meter)
end

return _M
