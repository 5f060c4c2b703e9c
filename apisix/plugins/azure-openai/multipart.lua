--- Finds a plain field of a multipart/form-data body (RFC 7578) without holding the files in it.
--
-- The form is walked from delimiter to delimiter, as a backend reads it, so that neither the place of a field nor
-- text inside a file that looks like one makes a difference.
local request_body = require("apisix.plugins.azure-openai.request_body")

local math_max = math.max

local WINDOW_BYTES = 1024 * 1024
local LONGEST_PART_HEAD_BYTES = 16384

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

local function boundary_of(content_type)
    return content_type:match('[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]="([^"]+)"')
        or content_type:match("[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]=([^;%s]+)")
end

-- The field's name, when the head of a part says that it is a field and no file.
local function field_name(head)
    for line in head:gmatch("[^\r\n]+") do
        local header, disposition = line:match("^([^:]+):(.*)$")
        if
            header
            and header:lower() == "content-disposition"
            and not disposition:lower():find("filename", 1, true)
        then
            return disposition:match('[;%s][Nn][Aa][Mm][Ee]="([^"]*)"')
                or disposition:match('[;%s][Nn][Aa][Mm][Ee]=([^;%s"]+)')
        end
    end
    return nil
end

--- Where the values of a field lie.
-- @param body table as `request_body` makes it
-- @param content_type string with the boundary
-- @param name string
-- @return table list of { offset, length } in bytes
function _M.locate(body, content_type, name)
    local boundary = boundary_of(content_type)
    local places = {}
    if not boundary then
        return places
    end

    local view = view_of(body)
    local delimiter = "\r\n--" .. boundary
    local part = find(view, delimiter:sub(3), 0)
    while part do
        local head_end = find(view, "\r\n\r\n", part)
        local is_wanted = head_end
            and head_end - part <= LONGEST_PART_HEAD_BYTES
            and field_name(text_at(view, part, head_end - part)) == name
        -- An empty value shares its first line end with the head.
        local value = head_end and head_end + 4
        local next_part = value and find(view, delimiter, value - 2)
        if is_wanted and next_part then
            places[#places + 1] = { offset = value, length = math_max(next_part - value, 0) }
        end
        part = next_part and next_part + 2
    end
    return places
end

return _M
