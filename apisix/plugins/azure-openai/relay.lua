--- Hands the winner's answer to the client: its head, then its body as it arrives.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local headers = require("apisix.plugins.azure-openai.headers")
local upstream = require("apisix.plugins.azure-openai.upstream")

local ngx = ngx
local ipairs = ipairs
local table_concat = table.concat

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
    if answer.body then
        ngx.header["Content-Length"] = #answer.body
    end

    if pool.expose_backend_headers then
        ngx.header["x-gateway-backend"] = state.winner and state.winner.name
        if #state.trail > 0 then
            ngx.header["x-gateway-attempts"] = attempts_line(state.trail)
        end
    end
end

local function emit(ctx, answer, chunk)
    return plugin.lua_response_filter(ctx, answer.headers, chunk, nil, true)
end

local function send_stream(ctx, answer)
    local stream = answer.stream
    while true do
        local chunk, read_err = stream.body_reader()
        if read_err then
            upstream.close(stream)
            core.log.warn("azure-openai: the answer of backend '", answer.backend.name, "' broke: ", read_err)
            -- An error status after the headers cuts the connection: the client must see that the answer is short.
            return ngx.exit(ngx.ERROR)
        end
        if not chunk then
            upstream.release(stream)
            return
        end

        local ok = emit(ctx, answer, chunk)
        if not ok then
            upstream.close(stream)
            return
        end
    end
end

--- Sends the body, or an empty one; afterwards the client has its whole answer.
-- @param answer table from `exchange.run`
function _M.body(ctx, answer)
    if answer.stream then
        ngx.send_headers()
        return send_stream(ctx, answer)
    end
    if #answer.body == 0 then
        -- Without this nginx would go on to its content phase.
        ngx.send_headers()
        return ngx.flush(true)
    end
    return emit(ctx, answer, answer.body)
end

return _M
