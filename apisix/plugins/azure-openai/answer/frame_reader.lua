--- Reads the text messages of a WebSocket whose bytes pass by (RFC 6455, section 5.2). It delays no byte, and how reads
--- split the bytes makes no difference.
--
-- Of each message it keeps the beginning, and as much more as its listener asks for. Binary, compressed and masked
-- messages are passed over: a backend sends no masked ones, and the gateway lets no compression be negotiated.
local byte_buffer = require("apisix.plugins.azure-openai.base.byte_buffer")

local setmetatable = setmetatable
local math_min = math.min

local CONTINUATION, TEXT, FIRST_CONTROL = 0, 1, 8
local LENGTH_16, LENGTH_64 = 126, 127
local MASK_BYTES = 4

-- So much of each message is kept before the listener says how much more it wants.
local HEAD_BYTES = 256

local _M = {}

local reader = {}
local reader_mt = { __index = reader }

--- Makes a reader.
-- @param listener table { wanted_bytes = function(head) -> how many bytes of the message to keep,
--   message = function(text, size) } `head` is the first 256 bytes of a message, or all of it; `text` is what was kept
--   of a message of `size` bytes
function _M.new(listener)
    return setmetatable({
        listener = listener,
        header = "",
        left = 0,
        is_last = false,
        is_control = false,
        is_readable = false,
        kept = byte_buffer.new(),
        size = 0,
    }, reader_mt)
end

-- Bytes of a frame's header, as far as its beginning tells.
local function header_size(header)
    if #header < 2 then
        return 2
    end
    local second = header:byte(2)
    local length = second % 128
    return 2
        + (length == LENGTH_16 and 2 or length == LENGTH_64 and 8 or 0)
        + (second >= 128 and MASK_BYTES or 0)
end

local function payload_size(header)
    local length = header:byte(2) % 128
    if length < LENGTH_16 then
        return length
    end
    local size = 0
    for index = 3, length == LENGTH_16 and 4 or 10 do
        size = size * 256 + header:byte(index)
    end
    return size
end

function reader:begin_frame()
    local first, second = self.header:byte(1, 2)
    local opcode = first % 16
    self.left = payload_size(self.header)
    self.header = ""
    self.is_last = first >= 128
    self.is_control = opcode >= FIRST_CONTROL
    if self.is_control then
        return
    end
    if opcode ~= CONTINUATION then
        self.kept, self.size, self.limit = byte_buffer.new(), 0, nil
        self.is_readable = opcode == TEXT
    end
    -- Bits 2 to 4 of the first byte mark extensions, compression among them.
    if first % 128 >= 16 or second >= 128 then
        self.is_readable = false
    end
end

function reader:ask_for_limit()
    local head = self.kept:take()
    self.kept:add(head)
    self.limit = self.listener.wanted_bytes(head)
end

function reader:keep(data, from, to)
    while from <= to and self.kept.size < (self.limit or HEAD_BYTES) do
        local stop = math_min(to, from + (self.limit or HEAD_BYTES) - self.kept.size - 1)
        self.kept:add(data:sub(from, stop))
        from = stop + 1
        if not self.limit and self.kept.size == HEAD_BYTES then
            self:ask_for_limit()
        end
    end
end

function reader:end_frame()
    if self.is_control or not self.is_last then
        return
    end
    if self.is_readable then
        self.listener.message(self.kept:take(), self.size)
    end
    self.is_readable = false
end

-- Takes what `data` holds of the current payload. Returns the position behind it.
function reader:take_payload(data, position)
    local stop = math_min(#data, position + self.left - 1)
    self.left = self.left - (stop - position + 1)
    if not self.is_control and self.is_readable then
        self.size = self.size + stop - position + 1
        self:keep(data, position, stop)
    end
    return stop + 1
end

-- Takes what `data` holds of the current header. Returns the position behind it, and whether the header is complete.
function reader:take_header(data, position)
    repeat
        local missing = header_size(self.header) - #self.header
        local piece = data:sub(position, position + missing - 1)
        self.header = self.header .. piece
        position = position + #piece
    until #piece < missing or #self.header == header_size(self.header)
    return position, #self.header == header_size(self.header)
end

--- Looks at bytes that have passed.
-- @param data string
function reader:push(data)
    local position, is_complete = 1, true
    while position <= #data do
        if self.left > 0 then
            position = self:take_payload(data, position)
        else
            position, is_complete = self:take_header(data, position)
            if is_complete then
                self:begin_frame()
            end
        end
        if self.left == 0 and is_complete then
            self:end_frame()
        end
    end
end

return _M
