--- Tells whether a JSON text came to its end, by its brackets and quotes alone. The text can come in pieces.
local setmetatable = setmetatable
local string_byte = string.byte
local string_find = string.find

local QUOTE = 34
local OPENING = { [91] = true, [123] = true }

local Scanner = {}
Scanner.__index = Scanner

-- Skips the rest of a string. Returns the position behind it, or nil when the piece ends before.
local function behind_string(self, piece, position)
    if self.is_escaped then
        self.is_escaped, position = false, position + 1
    end
    while true do
        local found = string_find(piece, '["\\]', position)
        if not found then
            return nil
        end
        if string_byte(piece, found) == QUOTE then
            self.is_in_string = false
            return found + 1
        end
        if found == #piece then
            self.is_escaped = true
            return nil
        end
        position = found + 2
    end
end

local function step(self, piece, found)
    local byte = string_byte(piece, found)
    if byte == QUOTE then
        self.is_in_string = true
    elseif OPENING[byte] then
        self.depth = self.depth + 1
    else
        self.depth = self.depth - 1
    end
    self.has_begun = true
    return found + 1
end

--- Reads on.
-- @param piece string
function Scanner:add(piece)
    local position = 1
    while position and position <= #piece do
        if self.is_in_string then
            position = behind_string(self, piece, position)
        else
            local found = string_find(piece, '["%[%]{}]', position)
            position = found and step(self, piece, found)
        end
    end
end

--- Whether the text that was added is whole: `{"a":[1]}` is, `{"a":[1]` is not.
-- @return boolean
function Scanner:is_whole()
    return self.has_begun and self.depth == 0 and not self.is_in_string
end

local _M = {}

--- @return table scanner
function _M.scanner()
    return setmetatable({ depth = 0, has_begun = false, is_in_string = false, is_escaped = false }, Scanner)
end

--- Whether a text is whole JSON, an object or a list.
-- @param text string
-- @return boolean
function _M.is_whole(text)
    local scanner = _M.scanner()
    scanner:add(text)
    return scanner:is_whole()
end

return _M
