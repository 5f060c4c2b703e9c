--- Reads an answer's body in a light thread of its own, so its consumer can wait with a time limit.
--
-- A cosocket read that times out loses the bytes that it has read; the pump's reads never time out early. The pump runs
-- at most CAPACITY chunks ahead, so a slow client slows the backend down instead of filling memory.
local semaphore = require("ngx.semaphore")

local ngx = ngx
local setmetatable = setmetatable

local CAPACITY = 8
-- A semaphore needs a limit; the real one is that of the read.
local FOREVER_SECONDS = 86400

local _M = {}
local mt = { __index = _M }

local function read_ahead(self)
    repeat
        self.room:wait(FOREVER_SECONDS)
        local chunk, err = self.reader()
        self.last = self.last + 1
        self.chunks[self.last] = chunk or false
        self.err = err
        self.filled:post(1)
    until not chunk
end

--- Starts reading.
-- @param reader function() -> chunk | nil at the end | nil, error
-- @return table pump
function _M.new(reader)
    local self = setmetatable({
        reader = reader,
        chunks = {},
        first = 1,
        last = 0,
        filled = semaphore.new(0),
        room = semaphore.new(CAPACITY),
    }, mt)
    self.thread = ngx.thread.spawn(read_ahead, self)
    return self
end

--- The next chunk.
-- @param seconds number|nil how long to wait for it; nil for as long as the reader does
-- @return string|nil chunk, nil with no error at the end
-- @return string|nil error: "idle" when nothing came in time, else the reader's
function _M:next(seconds)
    if not self.filled:wait(seconds or FOREVER_SECONDS) then
        return nil, "idle"
    end

    local chunk = self.chunks[self.first]
    self.chunks[self.first] = nil
    self.first = self.first + 1
    if not chunk then
        return nil, self.err
    end
    self.room:post(1)
    return chunk
end

--- Ends reading; the connection is then the caller's to release or close.
function _M:stop()
    ngx.thread.kill(self.thread)
end

return _M
