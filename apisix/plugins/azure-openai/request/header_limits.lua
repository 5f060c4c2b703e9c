--- How much of a request's header the gateway takes. nginx takes a little more, and answers by itself beyond that.
--
-- Without an argument, OpenResty's `get_headers` shows the first hundred lines only, and APISIX and its plugins call it
-- so. What stands behind them would be dropped silently, or overlooked where it has to be removed.
local ngx = ngx
local ipairs = ipairs
local pairs = pairs
local type = type

-- Clients may send 200 lines in 32 KiB. APISIX itself adds some.
local MOST_LINES = 256
local LARGEST_BYTES = 36 * 1024
-- The colon, the space and the end of the line.
local BYTES_AROUND = 4

local _M = {}

--- Makes every reader see as many lines as the gateway takes, and one more, which shows that there are too many.
function _M.install()
    local get_headers = ngx.req.get_headers

    ngx.req.get_headers = function(most_lines, is_raw) -- luacheck: ignore 122
        return get_headers(most_lines or MOST_LINES + 1, is_raw)
    end
end

-- Bytes of one line; a value without text stands as true.
local function bytes_of(name, value)
    return #name + BYTES_AROUND + (type(value) == "string" and #value or 0)
end

--- Whether a header has more lines or more bytes than the gateway takes.
-- @param headers table<string, string|string[]>
-- @return boolean
function _M.are_exceeded_by(headers)
    local lines, bytes = 0, 0
    for name, value in pairs(headers) do
        if type(value) == "table" then
            lines = lines + #value
            for _, line in ipairs(value) do
                bytes = bytes + bytes_of(name, line)
            end
        else
            lines, bytes = lines + 1, bytes + bytes_of(name, value)
        end
    end
    return lines > MOST_LINES or bytes > LARGEST_BYTES
end

return _M
