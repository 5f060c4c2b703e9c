--- Event streams may end their lines in LF, CRLF or CR alone. The last kind is rare, so it becomes LF where it enters,
--- and nothing behind has to know it.
local setmetatable = setmetatable
local has_prefix = require("apisix.core").string.has_prefix

local Reader = {}
Reader.__index = Reader

-- Finds out which kind a stream has, by its first line end. A CR at the end of a piece may be half of a CRLF, so it
-- waits for the next piece.
local function learn(self, chunk)
    chunk, self.waiting = self.waiting .. chunk, ""
    local line_end = chunk:match("[\r\n].?")
    if line_end == "\r" then
        self.waiting = "\r"
        return chunk:sub(1, -2)
    end
    self.is_known = line_end ~= nil
    self.has_lone_cr = line_end ~= nil and line_end:find("^\r[^\n]") ~= nil
    return chunk
end

local function converted(self, chunk)
    if self.ended_in_cr and has_prefix(chunk, "\n") then
        chunk = chunk:sub(2)
    end
    self.ended_in_cr = chunk:sub(-1) == "\r"
    return (chunk:gsub("\r\n?", "\n"))
end

--- The next bytes of the stream, as the `next` of a body.
function Reader:next(seconds)
    local chunk, err = self.body:next(seconds)
    if not chunk then
        return nil, err
    end
    if not self.is_known then
        chunk = learn(self, chunk)
    end
    return self.has_lone_cr and converted(self, chunk) or chunk
end

local _M = {}

--- Reads a stream's body.
-- @param body table (attempt/answer_body.lua)
-- @return table with the same `next`
function _M.reader(body)
    return setmetatable(
        { body = body, waiting = "", is_known = false, has_lone_cr = false, ended_in_cr = false },
        Reader
    )
end

return _M
