--- Reads the body of a backend's answer, whatever its framing: what the connection has is handed out at once, and a
--- body that is cut short ends with an error.
--
-- A read that times out loses nothing, so a consumer can wait as long as it likes and ask again.
local byte_buffer = require("apisix.plugins.azure-openai.base.byte_buffer")
local framing_module = require("apisix.plugins.azure-openai.attempt.framing")
local inflater_module = require("apisix.plugins.azure-openai.attempt.inflater")
local json_end = require("apisix.plugins.azure-openai.base.json_end")

local ngx_now = ngx.now
local setmetatable = setmetatable
local type = type
local math_ceil = math.ceil
local math_huge = math.huge
local math_max = math.max
local math_min = math.min

local NOTHING = {}
local GZIP = { gzip = true, ["x-gzip"] = true }

-- Its field `is_garbled` tells that the body has come but cannot be unpacked.
local Body = {}
Body.__index = Body

local function lower(value)
    return type(value) == "string" and value:lower() or ""
end

-- Sets how long the socket waits. Setting it costs a call into nginx.
local function wait_at_most(self, milliseconds)
    if milliseconds ~= self.patience_ms then
        self.patience_ms = milliseconds
        self.connection:settimeout(milliseconds)
    end
end

-- Bytes from the socket; or nil and "idle" when none came before the deadline.
local function receive(self, deadline)
    local left_ms = self.read_timeout_ms - self.silent_ms
    local wait_ms = deadline and math_ceil(math_max((deadline - ngx_now()) * 1000, 1)) or left_ms
    wait_ms = math_min(wait_ms, left_ms)
    wait_at_most(self, wait_ms)
    local raw, err = self.connection:receiveany(self.framing:wanted())
    if raw then
        self.silent_ms = 0
        return raw
    end
    if err ~= "timeout" then
        return nil, err
    end
    self.silent_ms = self.silent_ms + wait_ms
    return nil, self.silent_ms >= self.read_timeout_ms and "timeout" or "idle"
end

-- The body is over. Returns nil, and the error if it is not whole.
local function over(self, err)
    self.is_over, self.err = true, err
    return nil, err
end

-- What the end of the connection means.
local function connection_ended(self, err)
    local is_end = err == "closed"
        and self.framing.ends_with_connection
        and (not self.json or self.json:is_whole())
    return over(self, not is_end and err or nil)
end

-- Takes the framing off. Returns bytes; or nil at the end; or nil and an error.
local function unframed(self, deadline)
    while not self.framing.is_done do
        local raw, err = receive(self, deadline)
        if err == "idle" then
            return nil, err
        elseif not raw then
            return connection_ended(self, err)
        end
        local data
        data, err = self.framing:decode(raw)
        if not data then
            return over(self, err)
        end
        if data ~= "" then
            return data
        end
    end
    return over(self)
end

-- The same for a gzipped body.
local function unpacked(self, deadline)
    local inflater = self.inflater
    while true do
        while inflater:has_more() do
            local data, err = inflater:pull()
            if not data then
                self.is_garbled = true
                return over(self, err)
            elseif data ~= "" then
                return data
            end
        end
        local packed, err = unframed(self, deadline)
        if not packed then
            local is_cut = not err and not inflater.is_done
            return nil, is_cut and select(2, over(self, "the gzip body has no end")) or err
        end
        inflater:push(packed)
    end
end

local function next_piece(self, deadline)
    if self.is_over then
        return nil, self.err
    end
    if self.inflater then
        return unpacked(self, deadline)
    end
    local data, err = unframed(self, deadline)
    if data and self.json then
        self.json:add(data)
    end
    return data, err
end

--- The next bytes.
-- @param seconds number|nil how long to wait for them; nil for as long as a backend may be silent
-- @return string|nil nil without an error at the end
-- @return string|nil error: "idle" when nothing came in time, "timeout" when the backend was silent too long, else why
--   the body is not whole
function Body:next(seconds)
    local unread = self.unread[self.first_unread]
    if unread then
        self.unread[self.first_unread] = nil
        self.first_unread = self.first_unread + 1
        return unread
    end
    return next_piece(self, seconds and ngx_now() + seconds)
end

-- Hands the pieces out again, before what is still unread.
local function put_back(self, buffer)
    local pieces = buffer:take_pieces()
    for index = self.first_unread, self.last_unread do
        pieces[#pieces + 1] = self.unread[index]
    end
    self.unread, self.first_unread, self.last_unread = pieces, 1, #pieces
end

--- Reads to the end. Afterwards, `next` hands out a larger body from its beginning.
-- @param limit_bytes number
-- @return string|nil body
-- @return string|nil error: "too large", or why the body is not whole
function Body:read_whole(limit_bytes)
    if (self.framing.length or 0) > limit_bytes then
        return nil, "too large"
    end
    local buffer = byte_buffer.new()
    local piece, err = self:next()
    while piece do
        buffer:add(piece)
        if buffer.size > limit_bytes then
            put_back(self, buffer)
            return nil, "too large"
        end
        piece, err = self:next()
    end
    if err then
        return nil, err
    end
    return buffer:take()
end

--- Waits for the beginning: the whole of a body whose small length is known, else its first bytes. `next` hands it out.
-- @param small_bytes number
-- @param seconds number how long a small body may take from its first byte on
-- @return string|nil first bytes; nil and no error when the body is empty
-- @return string|nil error: why the body is not whole
function Body:beginning(small_bytes, seconds)
    local is_small = (self.framing.length or math_huge) <= small_bytes
    local buffer = byte_buffer.new()
    local first, err = self:next()
    local piece, deadline = first, ngx_now() + seconds
    while piece do
        buffer:add(piece)
        if not is_small then
            break
        end
        piece, err = self:next(math_max(deadline - ngx_now(), 0))
    end
    put_back(self, buffer)
    if err and err ~= "idle" then
        return nil, err
    end
    return first
end

--- Whether the end of the connection is the only end that the body has.
-- @return boolean
function Body:ends_with_connection()
    return self.framing.ends_with_connection == true
end

--- Whether nothing is left on the connection, so that it can be used again.
-- @return boolean
function Body:leaves_clean()
    return self.framing.is_done == true and not self.framing.has_excess
end

local _M = {}

-- Unpacks what nobody asked to be packed: the gateway reads bodies, and the client may not know how to unpack it.
local function unpack_body(body, headers)
    local err
    body.inflater, err = inflater_module.new()
    headers["content-encoding"] = nil
    return body.inflater and body, err
end

--- The body of a response whose head was read.
-- @param connection table behind the head (attempt/connection.lua)
-- @param headers table of the response; those that describe a packed body are removed
-- @return table|nil body
-- @return string|nil error when the headers do not say where the body ends
function _M.new(connection, headers)
    local framing, err = framing_module.of(headers)
    if not framing then
        return nil, err
    end
    local body = setmetatable({
        connection = connection,
        framing = framing,
        read_timeout_ms = connection.timeout_ms,
        patience_ms = connection.timeout_ms,
        silent_ms = 0,
        unread = NOTHING,
        first_unread = 1,
        last_unread = 0,
    }, Body)
    if GZIP[lower(headers["content-encoding"])] then
        return unpack_body(body, headers)
    end
    if framing.ends_with_connection and lower(headers["content-type"]):find("^%s*application/json") then
        -- Only the text itself tells whether the connection ended too early.
        body.json = json_end.scanner()
    end
    return body
end

return _M
