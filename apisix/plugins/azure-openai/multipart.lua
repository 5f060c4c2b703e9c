--- Reads and changes a plain field of a multipart/form-data body without parsing the files in it.
local request_body = require("apisix.plugins.azure-openai.request_body")

-- SDKs write plain fields before or after the file, never far from an end of the body.
local WINDOW_BYTES = 65536

local _M = {}

-- Offset and length of a field's value within a window of text.
local function locate(text, name)
    local _, header_end = text:find('[Nn]ame="' .. name .. '"\r\n', 1)
    if not header_end then
        return nil
    end
    local _, blank_line_end = text:find("\r\n", header_end - 1, true)
    -- Further headers of the part, for example its content type, may stand before the blank line.
    local _, head_end = text:find("\r\n\r\n", blank_line_end - 1, true)
    local stop = head_end and text:find("\r\n", head_end + 1, true)
    if not stop then
        return nil
    end
    return head_end, stop - head_end - 1
end

local function find(body, name)
    local offset, length = locate(request_body.slice(body, 0, WINDOW_BYTES), name)
    if offset or body.size <= WINDOW_BYTES then
        return offset, length
    end
    local window_start = body.size - WINDOW_BYTES
    offset, length = locate(request_body.slice(body, window_start, WINDOW_BYTES), name)
    return offset and window_start + offset, length
end

--- The value of a plain field.
-- @param body table|nil as `request_body` makes it
-- @return string|nil
function _M.field(body, name)
    if not body then
        return nil
    end
    local offset, length = find(body, name)
    return offset and request_body.slice(body, offset, length)
end

--- The body with another value of a field that it has.
function _M.with_field(body, name, value)
    local offset, length = find(body, name)
    return request_body.with_replacement(body, offset, length, value)
end

return _M
