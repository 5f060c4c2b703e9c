--- Finds a plain field of a multipart/form-data body (RFC 7578) without holding the files in it.
--
-- The form is walked from delimiter to delimiter, as a backend reads it, so that neither the place of a field nor
-- text inside a file that looks like one makes a difference. What could be read in more than one way is not read:
-- such a form has no fields here.
local request_body = require("apisix.plugins.azure-openai.request.body")

local math_max = math.max

local WINDOW_BYTES = 1024 * 1024
local LONGEST_PART_HEAD_BYTES = 16384
local MOST_PARTS = 1000
-- RFC 2046, section 5.1.1.
local LONGEST_BOUNDARY_BYTES = 70

local _M = {}

-- A view of the body that slides forward: text is looked at where it is, a file in windows.
local function view_of(body)
    if body.text then
        return { body = body, offset = 0, data = body.text }
    end
    return { body = body, offset = 0, data = request_body.slice(body, 0, WINDOW_BYTES) }
end

-- Offset of `needle` at or behind `offset`; nil when there is none.
local function find(view, needle, offset)
    while true do
        local found = view.data:find(needle, math_max(offset - view.offset, 0) + 1, true)
        if found then
            return view.offset + found - 1
        end
        local seen = view.offset + #view.data
        if seen >= view.body.size then
            return nil
        end
        -- The needle may begin in the last bytes of this window.
        view.offset = math_max(offset, seen - #needle + 1)
        view.data = request_body.slice(view.body, view.offset, WINDOW_BYTES)
        if #view.data < #needle then
            return nil
        end
    end
end

-- Bytes of the body, from the view where they are in it.
local function text_at(view, offset, length)
    local first = offset - view.offset
    if first >= 0 and first + length <= #view.data then
        return view.data:sub(first + 1, first + length)
    end
    return request_body.slice(view.body, offset, length)
end

-- The parameters of a header's value by lower-case name; nil when they are not written plainly, or one twice.
local function parameters(value)
    local rest = value:match("^%s*[^;]*(.*)$")
    local found = {}
    while not rest:find("^%s*$") do
        local name, tail = rest:match("^%s*;%s*([%w*-]+)=(.*)$")
        if not name or found[name:lower()] then
            return nil
        end
        local text, after = tail:match('^"([^"\\]*)"%s*(.*)$')
        if not text then
            text, after = tail:match('^([^%s;"\\]+)%s*(.*)$')
        end
        if not text then
            return nil
        end
        found[name:lower()], rest = text, after
    end
    return found
end

-- The name of a part, and whether it is a file; nil when its head is not plain.
local function read_head(head)
    local disposition
    for line in (head .. "\r\n"):gmatch("(.-)\r\n") do
        local name, value = line:match("^([^%s:]+):(.*)$")
        -- A line that goes on with the one before it has no name.
        if not name or (disposition and name:lower() == "content-disposition") then
            return nil
        end
        if name:lower() == "content-disposition" then
            disposition = value
        end
    end
    local found = disposition and parameters(disposition)
    if not found or not found.name or found["name*"] then
        return nil
    end
    return found.name, found.filename ~= nil or found["filename*"] ~= nil
end

-- Where a delimiter's line ends; nil, and whether it is the last one, when no part follows.
local function line_end(view, offset)
    local after = text_at(view, offset, LONGEST_BOUNDARY_BYTES)
    if after:sub(1, 2) == "--" then
        return nil, true
    end
    local blanks = after:match("^[ \t]*\r\n()")
    return blanks and offset + blanks - 1, false
end

--- Where the values of a field lie.
-- @param body table as request/body makes it
-- @param content_type string with the boundary
-- @param name string in lower case; a backend may take the field in any case
-- @return table list of { offset, length } in bytes; empty when the form is not plain
-- @return boolean whether the form is plain
function _M.locate(body, content_type, name)
    local found = parameters(content_type)
    local boundary = found and found.boundary
    if not boundary or #boundary > LONGEST_BOUNDARY_BYTES then
        return {}, false
    end

    local view = view_of(body)
    local delimiter = "\r\n--" .. boundary
    if text_at(view, 0, #delimiter - 2) ~= delimiter:sub(3) then
        return {}, false
    end
    local places, after_delimiter = {}, #delimiter - 2
    for _ = 1, MOST_PARTS do
        local head, is_end = line_end(view, after_delimiter)
        if is_end then
            return places, true
        end
        local head_end = head and find(view, "\r\n\r\n", head)
        if not head_end or head_end - head > LONGEST_PART_HEAD_BYTES then
            return {}, false
        end
        local part_name, is_file = read_head(text_at(view, head, head_end - head))
        -- An empty value shares its line end with the head.
        local value = head_end + 4
        local value_end = part_name and find(view, delimiter, value - 2)
        if not value_end then
            return {}, false
        end
        if not is_file and part_name:lower() == name then
            places[#places + 1] = { offset = value, length = math_max(value_end - value, 0) }
        end
        after_delimiter = value_end + #delimiter
    end
    return {}, false
end

return _M
