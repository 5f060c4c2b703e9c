--- Collects the pieces of a text. A sender can cut a text into single bytes; the buffer still takes little more memory
--- than the text.
local setmetatable = setmetatable
local ipairs = ipairs
local table_concat = table.concat

-- Each piece costs some 40 bytes beside its own. So many of them become one.
local MOST_PIECES = 256

local Buffer = {}
Buffer.__index = Buffer

local function join(self)
    self.joined = self.joined or {}
    self.joined[#self.joined + 1] = table_concat(self.pieces)
    self.pieces, self.count = {}, 0
end

--- Adds a piece at the end.
-- @param piece string
function Buffer:add(piece)
    self.count = self.count + 1
    self.pieces[self.count] = piece
    self.size = self.size + #piece
    if self.count == MOST_PIECES then
        join(self)
    end
end

--- Takes everything out.
-- @return table list of strings that together are the text
function Buffer:take_pieces()
    local pieces, joined = self.pieces, self.joined
    self.joined, self.pieces, self.count, self.size = nil, {}, 0, 0
    if not joined then
        return pieces
    end
    for _, piece in ipairs(pieces) do
        joined[#joined + 1] = piece
    end
    return joined
end

--- Takes everything out.
-- @return string "" when nothing was added
function Buffer:take()
    if self.count == 1 and not self.joined then
        -- Most texts come in one piece.
        local text = self.pieces[1]
        self.pieces[1], self.count, self.size = nil, 0, 0
        return text
    end
    return table_concat(self:take_pieces())
end

local _M = {}

--- An empty buffer.
-- @return table buffer with `size`, in bytes
function _M.new()
    return setmetatable({ pieces = {}, count = 0, size = 0 }, Buffer)
end

return _M
