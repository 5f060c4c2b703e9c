--- Unpacks gzip piece by piece, with the zlib that APISIX brings along.
local ffi = require("ffi")
local garbage = require("apisix.plugins.azure-openai.base.garbage")
local zlib = require("ffi-zlib")

local library = zlib.zlib
local setmetatable = setmetatable
local tonumber = tonumber

local PIECE_BYTES = 65536

local Inflater = {}
Inflater.__index = Inflater

--- Whether `pull` may have more before the next `push`.
-- @return boolean
function Inflater:has_more()
    return self.stream.avail_in > 0 or self.was_full
end

--- Takes packed bytes.
-- @param piece string at most 64 KiB, while `has_more` is false
function Inflater:push(piece)
    ffi.copy(self.input, piece, #piece)
    self.stream.next_in, self.stream.avail_in = self.input, #piece
end

--- Unpacks some of the bytes that were pushed.
-- @return string|nil at most 64 KiB, "" when nothing comes of them yet
-- @return string|nil error
function Inflater:pull()
    local stream = self.stream
    stream.next_out, stream.avail_out = self.output, PIECE_BYTES
    local result = library.inflate(stream, library.Z_NO_FLUSH)
    self.is_done = result == library.Z_STREAM_END
    self.was_full = stream.avail_out == 0 and not self.is_done
    if self.is_done then
        -- Whatever follows belongs to nothing.
        stream.avail_in = 0
    elseif result ~= library.Z_OK and result ~= library.Z_BUF_ERROR then
        return nil, "a broken gzip body: " .. tonumber(result)
    end
    local bytes = PIECE_BYTES - stream.avail_out
    garbage.catch_up(bytes)
    return ffi.string(self.output, bytes)
end

local _M = {}

--- @return table|nil inflater; `is_done` when the packed body came to its end
-- @return string|nil error
function _M.new()
    local stream, input, output = zlib.createStream(PIECE_BYTES)
    if zlib.initInflate(stream) ~= library.Z_OK then
        return nil, "zlib has no memory"
    end
    -- A request can end at any time, and zlib's memory is not Lua's.
    ffi.gc(stream, library.inflateEnd)
    return setmetatable({ stream = stream, input = input, output = output, was_full = false }, Inflater)
end

return _M
