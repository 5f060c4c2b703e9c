--- A plain tunnel between a client and a backend after a 101: bytes in both directions until one side ends.
local core = require("apisix.core")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")

local ngx = ngx

local CHUNK_BYTES = 65536
-- A session may be silent for any time, so this is the largest timeout that nginx takes. Backends end sessions
-- themselves, and TCP notices a peer that has vanished.
local FOREVER_MS = 2147483647

local _M = {}

-- Returns which side ended the tunnel, and how.
local function copy(from, to)
    while true do
        local data, err = from.socket:receiveany(CHUNK_BYTES)
        if not data then
            return from, err
        end
        local sent
        sent, err = to.socket:send(data)
        if not sent then
            return to, err
        end
    end
end

-- A peer that accepts nothing for the read timeout is gone.
local function prepare(side, pool)
    local patience_ms = pool.failover.read_timeout_ms
    side.socket:settimeouts(patience_ms, patience_ms, FOREVER_MS)
end

local function relay(client, backend)
    local to_client = ngx.thread.spawn(copy, backend, client)
    local to_backend = ngx.thread.spawn(copy, client, backend)
    local _, ended, err = ngx.thread.wait(to_client, to_backend)
    -- All bytes of the side that ended were sent before its end was seen. The other side has no peer any more.
    ngx.thread.kill(to_client)
    ngx.thread.kill(to_backend)
    return ended, err
end

--- Sends the 101 and relays until either side ends; then both are closed.
-- @param state RequestState gets error
-- @param answer Answer whose `tunnel` is the upgraded connection
function _M.run(state, answer)
    ngx.header["Upgrade"] = "websocket"
    ngx.send_headers()
    ngx.flush(true)

    -- From here on nginx leaves the client's connection alone, and closes it when this function returns.
    local socket, socket_err = ngx.req.socket(true)
    if not socket then
        upstream.close(answer.tunnel)
        core.log.error("azure-openai: no tunnel to the client: ", socket_err)
        state.error = "tunnel_broken"
        return ngx.exit(ngx.ERROR)
    end

    local client = { socket = socket }
    local backend = { socket = answer.tunnel.client.sock }
    prepare(client, state.pool)
    prepare(backend, state.pool)
    backend.socket:setoption("keepalive", true)

    local ended, err = relay(client, backend)
    upstream.close(answer.tunnel)
    if err ~= "closed" then
        state.error = ended == client and "client_gone" or "tunnel_broken"
        core.log.notice("azure-openai: the tunnel to backend '", answer.backend.name, "' broke: ", err)
    end
    return nil
end

return _M
