--- A plain tunnel between a client and a backend after a 101: bytes in both directions until one side ends. The
--- messages of the backend are looked at, never held or changed.
local core = require("apisix.core")
local frame_reader = require("apisix.plugins.azure-openai.answer.frame_reader")
local garbage = require("apisix.plugins.azure-openai.base.garbage")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")

local ngx = ngx
local pcall = pcall

local CHUNK_BYTES = 65536
-- A session may be silent for any time, so this is the largest timeout that nginx takes. Backends end sessions
-- themselves, and TCP notices a peer that has vanished.
local FOREVER_MS = 2147483647

local _M = {}

-- Returns which side ended the tunnel, and how. `watch` gets all bytes, also those that `to` does not take any more.
local function copy(from, to, watch)
    while true do
        local data, err = from.socket:receiveany(CHUNK_BYTES)
        if not data then
            return from, err
        end
        garbage.catch_up(#data)
        watch(data)
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

local function ignore() end

local function relay(client, backend, listener)
    local reader = frame_reader.new(listener)
    local to_client = ngx.thread.spawn(copy, backend, client, function(data)
        -- What watches must never end the tunnel.
        local ok, err = pcall(reader.push, reader, data)
        if not ok then
            core.log.error("azure-openai: cannot read a backend's messages: ", err)
        end
    end)
    local to_backend = ngx.thread.spawn(copy, client, backend, ignore)
    local _, ended, err = ngx.thread.wait(to_client, to_backend)
    -- All bytes of the side that ended were sent before its end was seen. The other side has no peer any more.
    ngx.thread.kill(to_client)
    ngx.thread.kill(to_backend)
    return ended, err
end

--- Sends the 101 and relays until either side ends; then both are closed.
-- @param state RequestState gets error
-- @param answer Answer whose `tunnel` is the upgraded connection
-- @param listener table hears the backend's messages (answer/frame_reader.lua)
function _M.run(state, answer, listener)
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
    local backend = { socket = answer.tunnel.connection }
    prepare(client, state.pool)
    prepare(backend, state.pool)
    backend.socket:keep_alive()

    local ended, err = relay(client, backend, listener)
    upstream.close(answer.tunnel)
    if err ~= "closed" then
        state.error = ended == client and "client_gone" or "tunnel_broken"
        core.log.notice("azure-openai: the tunnel to backend '", answer.backend.name, "' broke: ", err)
    end
    return nil
end

return _M
