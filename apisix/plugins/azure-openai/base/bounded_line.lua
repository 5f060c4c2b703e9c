--- Reads lines from sockets. A socket's own way, `receive("*l")`, has no limit: it keeps a line that never ends.
local string_byte = string.byte
local string_sub = string.sub

local _M = {}

--- Reads a line, without its end.
-- @param sock table cosocket
-- @param most_bytes number
-- @return string|nil
-- @return string|nil error
-- @return string|nil what had come of the line before the connection ended
function _M.read(sock, most_bytes)
    local read = sock:receiveuntil("\n", { inclusive = true })
    local line, err, partial = read(most_bytes)
    if not line then
        return nil, err, partial
    end
    if string_byte(line, -1) ~= 10 then
        return nil, "a line of more than " .. most_bytes .. " bytes"
    end
    return string_sub(line, 1, string_byte(line, -2) == 13 and -3 or -2)
end

return _M
