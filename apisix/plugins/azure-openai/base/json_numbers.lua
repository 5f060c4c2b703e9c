--- The grammar of JSON's numbers, as a table of states.
local string_byte = string.byte
local ipairs = ipairs

local START, MINUS, ZERO, WHOLE, POINT, FRACTION, E, SIGN, EXPONENT =
    256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304
local ENDS = { [ZERO] = true, [WHOLE] = true, [FRACTION] = true, [EXPONENT] = true }

-- The state after a byte, by state + byte; nil where the number cannot go on.
local NEXT = {}

local function add(state, bytes, after)
    for byte in bytes:gmatch(".") do
        NEXT[state + byte:byte()] = after
    end
end

local DIGITS = "0123456789"
add(START, "-", MINUS)
for _, state in ipairs({ START, MINUS }) do
    add(state, DIGITS, WHOLE)
    add(state, "0", ZERO)
end
add(WHOLE, DIGITS, WHOLE)
add(POINT, DIGITS, FRACTION)
add(FRACTION, DIGITS, FRACTION)
for _, state in ipairs({ ZERO, WHOLE }) do
    add(state, ".", POINT)
end
for _, state in ipairs({ ZERO, WHOLE, FRACTION }) do
    add(state, "eE", E)
end
add(E, "+-", SIGN)
for _, state in ipairs({ E, SIGN, EXPONENT }) do
    add(state, DIGITS, EXPONENT)
end

local _M = {}

--- Finds the end of a number.
-- @return number the position behind what can be part of it
-- @return boolean whether that is a whole number
function _M.number_end(text, position)
    local state = START
    while true do
        local byte = string_byte(text, position)
        local after = byte and NEXT[state + byte]
        if not after then
            return position, ENDS[state] == true
        end
        state, position = after, position + 1
    end
end

local COMMA, BLANKS = 44, { [32] = true, [10] = true, [13] = true, [9] = true }

--- Skips numbers of which each is followed by a comma.
-- @param longest number characters; a longer number is not skipped
-- @return number the position behind the last of these commas
function _M.row_end(text, position, longest)
    local state, start = START, position
    while true do
        local byte = string_byte(text, position)
        local after = byte and NEXT[state + byte]
        if after then
            state = after
        elseif byte == COMMA and ENDS[state] and position - start <= longest then
            state, start = START, position + 1
        elseif state ~= START or not BLANKS[byte] then
            return start
        end
        position = position + 1
    end
end

return _M
