--- Finds a plain field of a multipart/form-data body (RFC 7578) without holding the files in it.
--
-- The form is walked from delimiter to delimiter, as a backend reads it, so that neither the place of a field nor
-- text inside a file that looks like one makes a difference. What could be read in more than one way is not read:
-- such a form has no fields here.
local view_module = require("apisix.plugins.azure-openai.request.view")

local math_max = math.max

local LONGEST_PART_HEAD_BYTES = 16384
-- Real heads have three at most: name, filename and filename*.
local MOST_PARAMETERS = 20
local MOST_PARTS = 1000
-- RFC 2046, section 5.1.1.
local LONGEST_BOUNDARY_BYTES = 70

local _M = {}

-- A parameter's value, quoted or not, and the position behind it; nil when it is not written plainly.
local function value_at(text, position)
    local value, after = text:match('^"([^"\\]*)"%s*()', position)
    if not value then
        value, after = text:match('^([^%s;"\\]+)%s*()', position)
    end
    return value, after
end

-- The parameters of a header's value by lower-case name: ' form-data; Name="model"' -> { name = "model" }. nil when
-- they are too many or not written plainly, or one stands twice.
local function parameters(text)
    local found = {}
    local position = text:match("^%s*[^;]*()")
    for _ = 0, MOST_PARAMETERS do
        if position > #text then
            return found
        end
        local name, value_start = text:match("^;%s*([%w*-]+)=()", position)
        if not name or found[name:lower()] then
            return nil
        end
        found[name:lower()], position = value_at(text, value_start)
        if not position then
            return nil
        end
    end
    return nil
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
    local after = view:text_at(offset, LONGEST_BOUNDARY_BYTES)
    if after:sub(1, 2) == "--" then
        return nil, true
    end
    local blanks = after:match("^[ \t]*\r\n()")
    return blanks and offset + blanks - 1, false
end

-- The part behind a delimiter that ends at `offset`: { name, is_file, value (offset), value_end }. nil, and whether the
-- form is over, when no part follows.
local function read_part(view, delimiter, offset)
    local head, is_over = line_end(view, offset)
    if not head then
        return nil, is_over
    end
    local head_end = view:find("\r\n\r\n", head)
    if not head_end or head_end - head > LONGEST_PART_HEAD_BYTES then
        return nil, false
    end
    local name, is_file = read_head(view:text_at(head, head_end - head))
    -- An empty value shares its line end with the head.
    local value = head_end + 4
    local value_end = name and view:find(delimiter, value - 2)
    if not value_end then
        return nil, false
    end
    return { name = name, is_file = is_file, value = value, value_end = value_end }
end

-- The boundary in a content type; nil when it is not plain.
local function boundary_of(content_type)
    local found = parameters(content_type)
    local boundary = found and found.boundary
    return boundary and #boundary <= LONGEST_BOUNDARY_BYTES and boundary or nil
end

--- Finds a plain field.
--
--     --R                                            { { offset = 53, length = 1 } }, true, false
--     Content-Disposition: form-data; name="model"
--                                              ->
--     a
--     --R--
--
-- @param body table as request/body makes it
-- @param content_type string with the boundary
-- @param name string in lower case; a backend may take the field in any case
-- @param pause function that is called now and then, to let others work
-- @return table list of { offset, length } in bytes, where its values lie; empty when the form is not plain
-- @return boolean whether the form is plain
-- @return boolean whether a file has the name of the field: some backends may take it for the field
function _M.locate(body, content_type, name, pause)
    local boundary = boundary_of(content_type)
    local delimiter = "\r\n--" .. (boundary or "")
    local view = view_module.new(body, pause)
    if not boundary or view:text_at(0, #delimiter - 2) ~= delimiter:sub(3) then
        return {}, false, false
    end

    local places, has_file, offset = {}, false, #delimiter - 2
    for _ = 1, MOST_PARTS do
        local part, is_over = read_part(view, delimiter, offset)
        if not part then
            return is_over and places or {}, is_over, has_file
        end
        if part.name:lower() == name then
            has_file = has_file or part.is_file
            if not part.is_file then
                places[#places + 1] =
                    { offset = part.value, length = math_max(part.value_end - part.value, 0) }
            end
        end
        offset = part.value_end + #delimiter
    end
    return {}, false, has_file
end

return _M
