--- A connection to a server: opened or taken from the pool, written to, read from, given back or closed.
--
-- A server may send as fast as it likes: while a socket always has data, no other request has its turn. So reads count,
-- and after so many bytes the others come first.
local garbage = require("apisix.plugins.azure-openai.base.garbage")
local memo = require("apisix.plugins.azure-openai.base.memo")

local ngx = ngx
local ngx_now = ngx.now
local ngx_sleep = ngx.sleep
local pcall = pcall
local setmetatable = setmetatable
local thread_kill = ngx.thread.kill
local math_max = math.max
local string_sub = string.sub
local tostring = tostring

local IDLE_MS = 60000
local POOL_SIZE = 64

-- No connection is ever put into the pool of this name, so a connection from it is always new.
local UNPOOLED = { pool = "azure-openai-unpooled" }

-- How much is read in a row before other requests have their turn, for a millisecond: nginx has no shorter one. A read
-- costs at least as much as so many bytes.
local TURN_BYTES = 256 * 1024
local LEAST_BYTES = 1024
local PAUSE_SECONDS = 0.001

local Connection = {}
Connection.__index = Connection

local _M = {
    --- The errors of a connection that the server has closed before any response, for example one from the pool.
    BROKEN = { closed = true, ["connection reset by peer"] = true, ["broken pipe"] = true },
}

-- By the name of a pool. A name is made of configured values alone.
local options_of_pool = memo.of(function(name)
    return { pool = name }
end)

-- The pool of a server's connections. One with TLS is for the same server name, verified in the same way, and for
-- nothing else.
local function pool_of(server, ssl_verify)
    local address = server.host .. "|" .. server.port
    return options_of_pool(server.scheme == "http" and address or address .. "|" .. tostring(ssl_verify))
end

-- A handshake that fails at once, without a wait, makes lua-resty-core raise an error. Where no session is asked for,
-- such a handshake even passes for a good one.
local function handshake(sock, host, ssl_verify)
    local is_over, session, err = pcall(sock.sslhandshake, sock, nil, host, ssl_verify)
    return is_over and session, is_over and err or "the TLS handshake failed"
end

--- Opens a connection, or takes one from the pool.
-- @param server table { scheme ("http" or "https"), host, port }; with TLS, `host` is the name in the certificate
-- @param wanted table { ssl_verify, connect_timeout_ms, timeout_ms (of each read and write), is_unpooled (a new
--   connection, which is not kept afterwards) }
-- @return table|nil connection with `was_pooled` and `has_heard`, whether a byte of an answer has come
-- @return string|nil error
-- @return string|nil then: what failed, "connect" or "tls"
function _M.open(server, wanted)
    local sock = ngx.socket.tcp()
    sock:settimeouts(wanted.connect_timeout_ms, wanted.timeout_ms, wanted.timeout_ms)
    local options = wanted.is_unpooled and UNPOOLED or pool_of(server, wanted.ssl_verify)
    local ok, err = sock:connect(server.host, server.port, options)
    if not ok then
        return nil, err or "unknown", "connect"
    end
    local was_pooled = (sock:getreusedtimes() or 0) > 0
    if server.scheme == "https" and not was_pooled then
        ok, err = handshake(sock, server.host, wanted.ssl_verify)
        if not ok then
            sock:close()
            return nil, err or "unknown", "tls"
        end
    end
    return setmetatable({
        sock = sock,
        timeout_ms = wanted.timeout_ms,
        was_pooled = was_pooled,
        is_unpooled = wanted.is_unpooled,
        has_heard = false,
        unread = "",
        turn = 0,
        turn_bytes = 0,
    }, Connection)
end

local function take_turn(self, bytes)
    garbage.catch_up(bytes)
    -- The time changes only when nginx has looked after the other requests.
    local now = ngx_now()
    if now ~= self.turn then
        self.turn, self.turn_bytes = now, 0
    end
    self.turn_bytes = self.turn_bytes + math_max(bytes, LEAST_BYTES)
    if self.turn_bytes > TURN_BYTES then
        ngx_sleep(PAUSE_SECONDS)
    end
end

--- Whatever has arrived; waits when there is nothing.
-- @param most_bytes number
-- @return string|nil
-- @return string|nil error
function Connection:receiveany(most_bytes)
    local unread = self.unread
    if unread ~= "" then
        self.unread = string_sub(unread, most_bytes + 1)
        return string_sub(unread, 1, most_bytes)
    end
    local data, err = self.sock:receiveany(most_bytes)
    if data then
        self.has_heard = true
    end
    take_turn(self, data and #data or 0)
    return data, err
end

--- Puts bytes back, for the next read.
function Connection:put_back(data)
    self.unread = data
end

--- Sends a text, or a list of them.
-- @return number|nil bytes
-- @return string|nil error
function Connection:send(data)
    return self.sock:send(data)
end

--- How long each further read may wait. A request that is still sent keeps its own time.
function Connection:settimeout(milliseconds)
    self.sock:settimeouts(self.timeout_ms, self.timeout_ms, milliseconds)
end

--- Has a light thread write on until the connection is closed.
-- @param writer thread of the same parent as who closes it
function Connection:keep_writing(writer)
    self.writer = writer
end

--- As of a socket.
function Connection:settimeouts(connect_ms, send_ms, read_ms)
    self.sock:settimeouts(connect_ms, send_ms, read_ms)
end

--- Has TCP ask a silent peer now and then whether it is still there.
function Connection:keep_alive()
    self.sock:setoption("keepalive", true)
end

--- Puts the connection into the pool, unless there is something on it that nobody has read.
function Connection:release()
    if self.is_unpooled or self.unread ~= "" or not self.sock:setkeepalive(IDLE_MS, POOL_SIZE) then
        self:close()
    end
end

--- Drops the connection.
function Connection:close()
    if self.writer then
        -- A socket cannot be closed while somebody writes.
        thread_kill(self.writer)
        self.writer = nil
    end
    self.sock:close()
end

return _M
