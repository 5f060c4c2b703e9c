--- Reads JSON (RFC 8259) in pieces and tells a listener what it meets, without building the document.
--
-- The grammar is strict: what a strict decoder refuses is refused here. Two differences to one that decodes bytes:
-- UTF-8 is not checked, and a number of more than 1000 characters is refused.
--
-- A listener has these methods; `scanner.text` is the part of the JSON that is being read.
--   name(scanner, name)                        a member's name, nil when it is longer than 4096 bytes
--   string(scanner, from, to)                  a string: the positions in `text` between which its content lies
--   long_string(scanner, head, offset, bytes)  a string of more than 4096 bytes: its first ones, and its place
--   other(scanner, kind, from, to)             a number, true, false or null; of the numbers in a list, only the first
--                                              element is sure to be told
--   open(scanner, is_object, offset)           a list or an object; the listener hears nothing of its inside when it
--                                              returns true
--   close(scanner, offset)                     its end: the offset behind it
-- `scanner.depth` is the number of open lists and objects; for `open` and `close` it includes the one they are about.
-- Positions count from 1 in `text`, offsets from 0 in the whole JSON.
local ffi = require("ffi")
local json_numbers = require("apisix.plugins.azure-openai.base.json_numbers")
local json_strings = require("apisix.plugins.azure-openai.base.json_strings")

local C = ffi.C
local ffi_cast = ffi.cast
local pairs = pairs
local setmetatable = setmetatable
local string_byte = string.byte
local string_char = string.char
local string_find = string.find
local string_sub = string.sub
local table_remove = table.remove
local tonumber = tonumber

ffi.cdef("size_t strcspn(const char *text, const char *marks);")

local MOST_DEPTH = 128
-- Of everything but numbers, of which an embedding can have many. The longest histories have some ten thousands.
local MOST_NODES = 1000000
local LONGEST_NUMBER_BYTES = 1000
local LONGEST_WHOLE_BYTES = 4096

-- Others may work after so much: about a millisecond of text, or a few of names and lists.
local PAUSE_BYTES = 256 * 1024
local PAUSE_NODES = 10000
local PIECE_BYTES = 64 * 1024

-- What ends the plain part of a string: quote, backslash, control characters. NUL ends the C string itself.
local MARKS = '"\\'
for byte = 1, 31 do
    MARKS = MARKS .. string_char(byte)
end
-- Most strings are short: a loop finds their end sooner than a call into C.
local NEAR_BYTES = 32

local IS_ESCAPE = {}
for character in ('"\\/bfnrt'):gmatch(".") do
    IS_ESCAPE[character:byte()] = true
end

-- What may come next in the text: the key to STEPS below.
local VALUE, FIRST_ELEMENT, NAME, FIRST_NAME, COLON, COMMA, NOTHING = 1, 2, 3, 4, 5, 6, 7

local function nothing() end
-- Listens to what is inside a value of no interest.
local DEAF = {
    name = nothing,
    string = nothing,
    long_string = nothing,
    other = nothing,
    open = nothing,
    close = nothing,
}

local Scanner = {}
Scanner.__index = Scanner

local function fail(self, position, message)
    self.fault = message .. " at byte " .. (self.base + position) .. "."
    return nil
end

-- It is JSON, but too much of it.
local function refuse(self, position, message)
    self.is_too_much = true
    return fail(self, position, message)
end

-- Position of the next quote, backslash or control character from `position` on, and that byte; nil behind the text.
local function next_mark(self, text, position)
    local far = position + NEAR_BYTES
    while position < far do
        local byte = string_byte(text, position)
        if not byte or byte < 32 or byte == 34 or byte == 92 then
            return position, byte
        end
        position = position + 1
    end
    position = position + tonumber(C.strcspn(self.pointer + (position - 1), MARKS))
    return position, string_byte(text, position)
end

-- Position behind the escape at `position`; nil when it is none, or not all of it is there.
local function skip_escape(self, text, position)
    local kind = string_byte(text, position + 1)
    if IS_ESCAPE[kind] then
        return position + 2
    end
    if kind == 117 and string_find(text, "^%x%x%x%x", position + 2) then
        return position + 6
    end
    if not kind or (kind == 117 and string_find(text, "^%x?%x?%x?$", position + 2)) then
        return nil
    end
    return fail(self, position, "There is an escape that JSON does not know")
end

-- Position of the quote that ends the string whose content goes on at `position`; nil, and the position up to which it
-- has been read, when it does not end in this text.
local function string_end(self, text, position)
    while true do
        local mark, byte = next_mark(self, text, position)
        if byte == 34 then
            return mark
        end
        if byte ~= 92 then
            return byte and fail(self, mark, "There is a control character in a string"), mark
        end
        position = skip_escape(self, text, mark)
        if not position then
            return nil, mark
        end
    end
end

-- Position behind a value that ends at `position`, and behind the comma if one follows.
local function value_read(self, text, position)
    local depth = self.depth
    if string_byte(text, position) == 44 and depth > 0 then
        self.expects = self.is_object[depth] and NAME or VALUE
        return string_byte(text, position + 1) == 32 and position + 2 or position + 1
    end
    self.expects = depth == 0 and NOTHING or COMMA
    return position
end

-- Position behind a name that ends at `position`, and behind the colon if it follows.
local function name_read(self, text, position)
    if string_byte(text, position) == 58 then
        self.expects = VALUE
        return string_byte(text, position + 1) == 32 and position + 2 or position + 1
    end
    self.expects = COLON
    return position
end

-- Counts one more; nil when it is one too many.
local function count_node(self, position)
    self.nodes = self.nodes + 1
    if self.nodes <= self.most_nodes then
        return true
    end
    return refuse(
        self,
        position,
        "There are more than " .. self.most_nodes .. " lists, objects, names and texts"
    )
end

local function head_at(text, position)
    return string_sub(text, position + 1, position + LONGEST_WHOLE_BYTES)
end

-- Position behind the string at `position`; nil, and where to go on, when it does not end in this text.
local function read_string(self, text, position)
    local stop, read = string_end(self, text, position + 1)
    if stop then
        return stop + 1
    end
    if read and read - position - 1 > LONGEST_WHOLE_BYTES then
        self.long = { offset = self.base + position - 1, head = head_at(text, position) }
        return nil, read
    end
    return nil, position
end

local function is_whole(stop, position)
    return stop - position - 2 <= LONGEST_WHOLE_BYTES
end

local function tell_long(self, offset, head, stop)
    self.listener:long_string(self, head, offset, stop - offset)
end

local function read_value_string(self, text, position)
    local stop, resume = read_string(self, text, position)
    if not stop or not count_node(self, position) then
        return nil, resume
    end
    if is_whole(stop, position) then
        self.listener:string(self, position + 1, stop - 2)
    else
        tell_long(self, self.base + position - 1, head_at(text, position), self.base + stop - 1)
    end
    return value_read(self, text, stop)
end

local function read_name(self, text, position)
    local stop, resume = read_string(self, text, position)
    if not stop or not count_node(self, position) then
        return nil, resume
    end
    self.listener:name(self, is_whole(stop, position) and self:string_at(position + 1, stop - 2) or nil)
    return name_read(self, text, stop)
end

-- Goes on with a string that did not end in the text before.
local function read_long(self, text)
    local stop, resume = string_end(self, text, 1)
    if not stop or not count_node(self, stop) then
        return nil, resume
    end
    local long = self.long
    self.long = nil
    if self.expects == NAME or self.expects == FIRST_NAME then
        self.listener:name(self, nil)
        return name_read(self, text, stop + 1)
    end
    tell_long(self, long.offset, long.head, self.base + stop)
    return value_read(self, text, stop + 1)
end

-- Tells the listener of the number and skips those that follow it in a list.
local function read_number(self, text, position)
    local stop, is_number = json_numbers.number_end(text, position)
    local is_at_end = stop > #text
    if stop - position > LONGEST_NUMBER_BYTES then
        return refuse(
            self,
            position,
            "There is a number of more than " .. LONGEST_NUMBER_BYTES .. " characters"
        )
    end
    if is_at_end then
        -- It may go on in the next text.
        return nil, position
    end
    if not is_number then
        return fail(self, position, "There is a number that JSON does not know")
    end
    self.listener:other(self, "number", position, stop - 1)
    if string_byte(text, stop) == 44 and not self.is_object[self.depth] and self.depth > 0 then
        self.expects = VALUE
        return json_numbers.row_end(text, stop + 1, LONGEST_NUMBER_BYTES)
    end
    return value_read(self, text, stop)
end

local function reader_of(word)
    return function(self, text, position)
        local stop = position + #word - 1
        local found = string_sub(text, position, stop)
        if found == word then
            if not count_node(self, position) then
                return nil
            end
            self.listener:other(self, word, position, stop)
            return value_read(self, text, stop + 1)
        end
        if stop > #text and string_sub(word, 1, #found) == found then
            return nil, position
        end
        return fail(self, position, "There is a word that JSON does not know")
    end
end

local function open(self, position, is_object)
    local depth = self.depth + 1
    if depth > MOST_DEPTH then
        return refuse(
            self,
            position,
            "There are lists and objects nested more than " .. MOST_DEPTH .. " deep"
        )
    end
    if not count_node(self, position) then
        return nil
    end
    self.depth, self.is_object[depth] = depth, is_object
    self.expects = is_object and FIRST_NAME or FIRST_ELEMENT
    if self.listener:open(self, is_object, self.base + position - 1) then
        self.listener, self.deaf_depth = DEAF, depth
    end
    return position + 1
end

local function open_object(self, _, position)
    return open(self, position, true)
end

local function open_list(self, _, position)
    return open(self, position, false)
end

local function close(self, text, position, is_object)
    local depth = self.depth
    if self.is_object[depth] ~= is_object then
        return fail(self, position, "There is the end of something else than what is open")
    end
    if depth == self.deaf_depth then
        self.listener, self.deaf_depth = self.hearing, nil
    end
    self.listener:close(self, self.base + position)
    self.depth = depth - 1
    return value_read(self, text, position + 1)
end

local function close_object(self, text, position)
    return close(self, text, position, true)
end

local function close_list(self, text, position)
    return close(self, text, position, false)
end

local function read_colon(self, _, position)
    self.expects = VALUE
    return position + 1
end

local function read_comma(self, _, position)
    self.expects = self.is_object[self.depth] and NAME or VALUE
    return position + 1
end

local VALUE_STEPS = {
    [34] = read_value_string,
    [45] = read_number,
    [91] = open_list,
    [102] = reader_of("false"),
    [110] = reader_of("null"),
    [116] = reader_of("true"),
    [123] = open_object,
}
for digit = 48, 57 do
    VALUE_STEPS[digit] = read_number
end
local FIRST_ELEMENT_STEPS = { [93] = close_list }
for byte, step in pairs(VALUE_STEPS) do
    FIRST_ELEMENT_STEPS[byte] = step
end

-- What is done about the next byte that is no blank, by what may come.
local STEPS = {
    [VALUE] = VALUE_STEPS,
    [FIRST_ELEMENT] = FIRST_ELEMENT_STEPS,
    [NAME] = { [34] = read_name },
    [FIRST_NAME] = { [34] = read_name, [125] = close_object },
    [COLON] = { [58] = read_colon },
    [COMMA] = { [44] = read_comma, [93] = close_list, [125] = close_object },
    [NOTHING] = {},
}

local EXPECTED = {
    [VALUE] = "a value",
    [FIRST_ELEMENT] = "a value or the end of the list",
    [NAME] = "a member's name",
    [FIRST_NAME] = "a member's name or the end of the object",
    [COLON] = "a colon",
    [COMMA] = "a comma or the end of the list or object",
    [NOTHING] = "nothing more",
}

-- Lines may be indented: blanks stand in rows.
local function skip_blanks(_, text, position)
    return string_find(text, "[^ \n\r\t]", position + 1) or #text + 1
end
for _, steps in pairs(STEPS) do
    steps[32], steps[10], steps[13], steps[9] = skip_blanks, skip_blanks, skip_blanks, skip_blanks
end

-- Reads the text from `position` on. Returns where to go on when more is there; nil after a fault.
local function read(self, text, position)
    local resume
    while position do
        local byte = string_byte(text, position)
        if not byte then
            return position
        end
        local step = STEPS[self.expects][byte]
        if not step then
            return fail(self, position, "JSON has " .. EXPECTED[self.expects])
        end
        position, resume = step(self, text, position, byte)
    end
    return not self.fault and resume or nil
end

--- The content of the string that has just been read.
-- @param from number first position in `text`
-- @param to number last position
-- @return string
function Scanner:string_at(from, to)
    return json_strings.unescape(string_sub(self.text, from, to))
end

-- Reads the next piece.
local function feed(self, piece)
    local text = self.rest == "" and piece or self.rest .. piece
    self.text, self.pointer = text, ffi_cast("const char *", text)
    local position, resume = 1, nil
    if self.long then
        position, resume = read_long(self, text)
    end
    if position then
        resume = read(self, text, position)
    end
    if not self.fault then
        self.rest, self.base = string_sub(text, resume), self.base + resume - 1
    end
end

-- There are no more pieces.
local function finish(self)
    if self.rest ~= "" then
        -- A number may end with the text; a blank shows that it does.
        feed(self, " ")
    end
    if not self.fault and self.expects ~= NOTHING then
        self.fault = "The JSON ends too early."
    end
end

local _M = {}

-- Scanners that are free. Most texts are small, so making a scanner would be a good part of the work.
local free = {}
local MOST_FREE = 16

local function borrow(listener, most_nodes)
    local scanner = table_remove(free) or setmetatable({ is_object = {} }, Scanner)
    scanner.listener, scanner.hearing, scanner.deaf_depth = listener, listener, nil
    scanner.expects, scanner.depth, scanner.nodes, scanner.most_nodes = VALUE, 0, 0, most_nodes
    scanner.rest, scanner.base, scanner.long = "", 0, nil
    scanner.bytes_since, scanner.nodes_then = 0, 0
    scanner.fault, scanner.is_too_much = nil, false
    return scanner
end

local function give_back(scanner)
    scanner.text, scanner.pointer, scanner.listener, scanner.hearing = nil, nil, nil, nil
    if #free < MOST_FREE then
        free[#free + 1] = scanner
    end
end

-- Feeds the next piece. Returns whether there is no fault.
local function feed_next(scanner, piece, pause)
    if scanner.bytes_since >= PAUSE_BYTES or scanner.nodes - scanner.nodes_then >= PAUSE_NODES then
        pause()
        scanner.bytes_since, scanner.nodes_then = 0, scanner.nodes
    end
    feed(scanner, piece)
    scanner.bytes_since = scanner.bytes_since + #piece
    return not scanner.fault
end

local function feed_text(scanner, text, pause)
    for from = 1, #text, PIECE_BYTES do
        if not feed_next(scanner, string_sub(text, from, from + PIECE_BYTES - 1), pause) then
            return
        end
    end
end

local function feed_pieces(scanner, pieces, pause)
    for piece in pieces do
        if not feed_next(scanner, piece, pause) then
            return
        end
    end
end

--- Reads a whole JSON text.
-- @param source string|function the text, or a function that returns it in pieces of at most 64 KB, then nil
-- @param listener table as described above
-- @param pause function that is called now and then between pieces, to let others work
-- @param most_nodes number|nil how many lists, objects, names and texts it may have; a million without it
-- @return number|nil how many it has
-- @return table|nil fault { message, is_too_much (it is JSON, but too much of it) }
function _M.scan(source, listener, pause, most_nodes)
    local scanner = borrow(listener, most_nodes or MOST_NODES)
    local feed_all = type(source) == "string" and feed_text or feed_pieces
    feed_all(scanner, source, pause)
    if not scanner.fault then
        finish(scanner)
    end
    local nodes, message, is_too_much = scanner.nodes, scanner.fault, scanner.is_too_much
    give_back(scanner)
    if message then
        return nil, { message = message, is_too_much = is_too_much }
    end
    return nodes
end

return _M
