--- Server-sent events. How reads split them makes no difference.
local core = require("apisix.core")
local byte_buffer = require("apisix.plugins.azure-openai.base.byte_buffer")

local setmetatable = setmetatable
local has_prefix = core.string.has_prefix
local has_suffix = core.string.has_suffix
local table_concat = table.concat

-- The longest start of an event boundary ("\r\n\r\n" less its last byte) that a chunk can end with.
local OVERLAP = 3
-- An event that never ends must not fill memory: beyond this size it is passed on as it comes. Images are the largest
-- events, of some megabytes.
local LONGEST_HELD_BYTES = 8 * 1024 * 1024
-- Larger events carry images or whole answers. Errors, and answers that only begin, are smaller.
local LARGE_BYTES = 256 * 1024

local _M = {}

local splitter = {}
local splitter_mt = { __index = splitter }

--- Makes a splitter, which cuts a byte stream at its last event boundary.
function _M.splitter()
    return setmetatable({ held = byte_buffer.new(), tail = "", is_inside_event = false }, splitter_mt)
end

function splitter:hold(text)
    self.held:add(text)
    self.tail = (self.tail .. text):sub(-OVERLAP)
end

--- Adds a chunk.
-- @param chunk string
-- @return string|nil all events that are complete now, as they came; nil when there are none. While `is_inside_event`,
--   it is a piece of an event that is too long to be held.
function splitter:push(chunk)
    local cut = #chunk
    -- Most chunks end with an event, so no search is needed.
    if not has_suffix(chunk, "\n\n") then
        local after = (self.tail .. chunk):match("^.*\n\r?\n()")
        if not after then
            self:hold(chunk)
            self.is_inside_event = self.is_inside_event or self.held.size > LONGEST_HELD_BYTES
            return self.is_inside_event and self:rest() or nil
        end
        cut = after - 1 - #self.tail
    end

    self.is_inside_event = false
    local complete = chunk:sub(1, cut)
    if self.held.size > 0 then
        self.held:add(complete)
        complete = self:rest()
    end
    if cut < #chunk then
        self:hold(chunk:sub(cut + 1))
    end
    return complete
end

--- Takes out the beginning of an event that never came to its end.
-- @return string "" when nothing is held
function splitter:rest()
    self.tail = ""
    return self.held:take()
end

-- What the events of a block end with, and whether that is no pattern. Backends end lines without a carriage return,
-- and a plain search is several times as fast.
local function boundary_in(block)
    local is_plain = not block:find("\r", 1, true)
    return is_plain and "\n\n" or "\n\r?\n", is_plain
end

--- Iterates over the single events of a block: "data: 1\n\ndata: 2\n\n" -> "data: 1\n\n", "data: 2\n\n".
-- @return function() -> string event with its terminating blank line
function _M.events(block)
    local position, boundary, is_plain = 1, boundary_in(block)
    return function()
        if position > #block then
            return nil
        end
        local start = position
        local _, stop = block:find(boundary, position, is_plain)
        position = (stop or #block) + 1
        return block:sub(start, position - 1)
    end
end

--- The same from the last one to the first.
function _M.events_from_the_end(block)
    local boundary, is_plain = boundary_in(block)
    local stops, count = {}, 0
    local _, stop = block:find(boundary, 1, is_plain)
    while stop do
        count = count + 1
        stops[count] = stop
        _, stop = block:find(boundary, stop + 1, is_plain)
    end
    local last = #block
    if stops[count] == last then
        count = count - 1
    end
    return function()
        if last <= 0 then
            return nil
        end
        local event = block:sub((stops[count] or 0) + 1, last)
        last, count = stops[count] or 0, count - 1
        return event
    end
end

--- Finds the events of a block that hold some positions.
-- @param block string
-- @return function(position) -> where the event begins that holds it, and where it ends, with its blank line. Each
--   position has to be behind the one before.
function _M.finder(block)
    -- Looked for once: a block can have thousands of positions, and megabytes.
    local boundary, is_plain = boundary_in(block)
    local from, stop = 1, 0
    return function(position)
        local _
        while stop and stop < position do
            from = stop + 1
            _, stop = block:find(boundary, from, is_plain)
        end
        return from, stop or #block
    end
end

--- How many events with data a block of complete events holds.
-- @return number
function _M.count(block)
    local count = has_prefix(block, "data:") and 1 or 0
    local position = block:find("\ndata:", 1, true)
    while position do
        count = count + 1
        position = block:find("\ndata:", position + 1, true)
    end
    return count
end

--- Whether an event is too large to be read for more than its type. It is neither preamble nor an error.
-- @return boolean
function _M.is_large(event)
    return #event > LARGE_BYTES
end

--- The type of an event by its first line: `event: response.completed` -> "response.completed".
-- @return string|nil
function _M.type_of(event)
    return event:match("^event: ?([^\r\n]+)")
end

--- Reads one event: "event: error\ndata: {}\n\n" -> "{}", "error".
-- @return string|nil data, nil for comments; several data lines are joined as the standard says
-- @return string|nil type from the event line
function _M.parse(event)
    local data, event_type = {}, nil
    for line in event:gmatch("[^\r\n]+") do
        local field, value = line:match("^([^:]*): ?(.*)$")
        if field == "data" then
            data[#data + 1] = value
        elseif field == "event" then
            event_type = value
        end
    end
    if #data == 0 then
        return nil, event_type
    end
    return table_concat(data, "\n"), event_type
end

return _M
