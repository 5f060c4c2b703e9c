--- Takes the bytes of a body out of what a connection carries: by length, in chunks, or up to the connection's end
--- (RFC 9112, section 6).
--
-- A framing decodes what has arrived and never waits. Its fields: `is_done` (the body is over), `has_excess` (more
-- came behind it), `length` (nil when it is not known before), `ends_with_connection`. Its methods:
--
--     wanted()      how many bytes it can take now
--     decode(raw)   bytes of the body, "" when there are none yet; or nil and why the framing is broken
local memo = require("apisix.plugins.azure-openai.base.memo")

local setmetatable = setmetatable
local tonumber = tonumber
local type = type
local math_min = math.min
local string_byte = string.byte
local string_find = string.find
local string_match = string.match
local string_sub = string.sub
local table_concat = table.concat

local READ_BYTES = 65536
local RETURN = 13
-- Lines of sizes have some ten bytes, with extensions some hundred.
local LONGEST_LINE_BYTES = 4096
local MOST_TRAILER_BYTES = 64 * 1024
-- 16^12 bytes are more than any backend sends, and Lua's numbers still hold that exactly.
local MOST_SIZE_DIGITS = 12

local _M = {}

local Sized = {}
Sized.__index = Sized

function Sized:wanted()
    return math_min(self.left, READ_BYTES)
end

function Sized:decode(raw)
    self.left = self.left - #raw
    self.is_done = self.left == 0
    return raw
end

local Closed = { ends_with_connection = true }
Closed.__index = Closed

function Closed.wanted()
    return READ_BYTES
end

function Closed.decode(_, raw)
    return raw
end

local Chunked = {}
Chunked.__index = Chunked

function Chunked.wanted()
    return READ_BYTES
end

-- What follows a line depends on where it stands: a size, the end of a chunk's bytes, or a trailer.
local after_line = {}

-- "1F" and "1f;extension" -> 31; false for what is no size. The events of a stream have much the same sizes.
local size_of = memo.of(function(line)
    local digits = string_match(line, "^[ \t]*(%x+)[ \t]*$") or string_match(line, "^[ \t]*(%x+)[ \t]*;")
    digits = digits and string_match(digits, "^0*(%x*)$")
    return digits ~= nil and #digits <= MOST_SIZE_DIGITS and (tonumber(digits, 16) or 0)
end)

function after_line.size(self, line)
    local size = size_of(line)
    if not size then
        return "a malformed size of a chunk"
    end
    self.left = size
    self.place = self.left > 0 and "end_of_chunk" or "trailer"
    return nil
end

function after_line.end_of_chunk(self, line)
    if line ~= "" then
        return "a chunk longer than its size"
    end
    self.place = "size"
    return nil
end

function after_line.trailer(self, line)
    self.is_done = line == ""
    self.trailer_bytes = self.trailer_bytes + #line + 1
    return self.trailer_bytes > MOST_TRAILER_BYTES and "endless trailers" or nil
end

-- Reads the line at a position. Returns the position behind it; nil when the line has not arrived whole.
local function take_line(self, raw, position)
    local stop = string_find(raw, "\n", position, true)
    if (stop or #raw) - position > LONGEST_LINE_BYTES then
        return nil, "a line of more than " .. LONGEST_LINE_BYTES .. " bytes between chunks"
    end
    if not stop then
        self.line = string_sub(raw, position)
        return nil
    end
    local last = string_byte(raw, stop - 1) == RETURN and stop - 2 or stop - 1
    local err = after_line[self.place](self, string_sub(raw, position, last))
    return not err and stop + 1 or nil, err
end

function Chunked:decode(raw)
    raw, self.line = self.line .. raw, ""
    local parts, position = {}, 1
    while position <= #raw and not self.is_done do
        if self.left > 0 then
            local stop = math_min(position + self.left, #raw + 1)
            parts[#parts + 1] = string_sub(raw, position, stop - 1)
            self.left = self.left - (stop - position)
            position = stop
        else
            local behind, err = take_line(self, raw, position)
            if err then
                return nil, err
            end
            position = behind or #raw + 1
        end
    end
    self.has_excess = self.is_done and position <= #raw
    return table_concat(parts)
end

-- Several lines of a header count as one.
local function joined(value)
    return type(value) == "table" and table_concat(value, ",") or value
end

--- The framing of a response's body.
-- @param headers table of the response
-- @return table|nil framing
-- @return string|nil error when the headers do not say where the body ends
function _M.of(headers)
    local encoding = joined(headers["transfer-encoding"])
    if encoding then
        if not string_find(encoding:lower(), "^[ \t]*chunked[ \t]*$") then
            return nil, "a transfer-encoding other than chunked"
        end
        return setmetatable({ left = 0, line = "", place = "size", trailer_bytes = 0 }, Chunked)
    end
    local length = headers["content-length"]
    if length == nil then
        return setmetatable({}, Closed)
    end
    if type(length) ~= "string" or not string_find(length, "^%d+$") or #length > MOST_SIZE_DIGITS then
        return nil, "a malformed content-length, or more than one"
    end
    length = tonumber(length)
    return setmetatable({ length = length, left = length, is_done = length == 0 }, Sized)
end

return _M
