--- A window on a body that slides forward, so that a large body in a file is looked at in parts.
local request_body = require("apisix.plugins.azure-openai.request.body")

local setmetatable = setmetatable
local math_max = math.max

local WINDOW_BYTES = 512 * 1024

local View = {}
View.__index = View

local _M = {}

--- Opens a view on a body.
-- @param body table as `request_body` makes it
-- @param pause function that is called before the window slides, to let others work
function _M.new(body, pause)
    local data = body.text or request_body.slice(body, 0, WINDOW_BYTES)
    return setmetatable({ body = body, pause = pause, offset = 0, data = data }, View)
end

local function slide(self, offset)
    self.pause()
    self.offset = offset
    self.data = request_body.slice(self.body, offset, WINDOW_BYTES)
end

--- Finds plain text.
-- @param needle string
-- @param offset number where to begin
-- @return number|nil the offset of the needle
function View:find(needle, offset)
    while true do
        local found = self.data:find(needle, math_max(offset - self.offset, 0) + 1, true)
        if found then
            return self.offset + found - 1
        end
        local seen = self.offset + #self.data
        if seen >= self.body.size then
            return nil
        end
        -- The needle may begin in the last bytes of this window.
        slide(self, math_max(offset, seen - #needle + 1))
        if #self.data < #needle then
            return nil
        end
    end
end

--- Part of the body.
-- @param offset number
-- @param length number bytes
-- @return string shorter where the body ends
function View:text_at(offset, length)
    local first = offset - self.offset
    local is_inside = first >= 0 and first + length <= #self.data
    if not is_inside and not self.body.text then
        if length > WINDOW_BYTES then
            return request_body.slice(self.body, offset, length)
        end
        slide(self, offset)
        first = 0
    end
    return self.data:sub(first + 1, first + length)
end

return _M
