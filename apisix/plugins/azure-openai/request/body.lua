--- A request body that can be sent more than once: text in memory, or the file to which nginx spooled a large one.
--
-- A body is { size (bytes), text | path }; an edited one in a file has `parts`: text, and slices of the file.
local core = require("apisix.core")
local garbage = require("apisix.plugins.azure-openai.base.garbage")
local pause = require("apisix.plugins.azure-openai.base.pause")

local ngx = ngx
local ipairs = ipairs
local type = type
local io_open = io.open
local math_min = math.min
local pcall = pcall
local table_concat = table.concat

local CHUNK_BYTES = 65536
-- Larger bodies go to a file.
local IN_MEMORY_BYTES = 1024 * 1024
-- A fast client or backend never keeps the worker waiting. Others may work after so much of it.
local PAUSE_BYTES = 512 * 1024

local _M = {}

local function file_size(path)
    local file, err = io_open(path, "rb")
    if not file then
        return nil, err
    end
    local size = file:seek("end")
    file:close()
    return size
end

local function too_large(max_bytes)
    return nil, 413, "The request body is larger than " .. max_bytes .. " bytes."
end

-- No room on disk, or no file to spare. The log says which, and where.
local function no_room(err)
    core.log.error("azure-openai: a request body cannot be kept: ", err)
    return nil, 507, "The gateway has no room for a request body of this size right now."
end

--- Wraps text.
function _M.of_text(text)
    garbage.catch_up(#text)
    return { size = #text, text = text }
end

-- The error that a function raises; nil when it raises none.
local function fault_of(keep, ...)
    local kept, err = pcall(keep, ...)
    return not kept and err or nil
end

-- Hands the body of the current request to nginx. nginx could read it itself. But when nginx finds the whole body at
-- once, it does not report later that the client has gone, and a silent upstream request would go on without a client.
-- Returns an error when there is no room for it.
local function receive()
    local socket = ngx.req.socket()
    if not socket then
        -- There is no body, or its length is not known before its end. Where it finds no room, nginx answers 500 by
        -- itself; the header filter of azure-openai-gateway makes that a 507.
        local ctx = ngx.ctx.api_ctx
        ctx.azure_openai_reads_body = true
        ngx.req.read_body()
        ctx.azure_openai_reads_body = nil
        return nil
    end

    local left, since, room_err = tonumber(ngx.var.content_length), 0, nil
    ngx.req.init_body(math_min(left, IN_MEMORY_BYTES))
    while left > 0 do
        local data, err = socket:receive(math_min(left, CHUNK_BYTES))
        if not data then
            return ngx.exit(err == "timeout" and 408 or 499)
        end
        -- Where there is no room, the rest is read all the same, or nginx would take it for the next request.
        room_err = room_err or fault_of(ngx.req.append_body, data)
        garbage.catch_up(#data)
        left, since = left - #data, since + #data
        if since >= PAUSE_BYTES then
            since = 0
            pause()
        end
    end
    return room_err or fault_of(ngx.req.finish_body)
end

--- Reads the body of the current request.
-- @param max_bytes number
-- @return table|nil body, nil when there is none
-- @return number|nil status when it is too large (413) or the gateway has no room for it (507)
-- @return string|nil then: the message
function _M.read(max_bytes)
    if (tonumber(ngx.var.http_content_length) or 0) > max_bytes then
        return too_large(max_bytes)
    end

    local room_err = receive()
    if room_err then
        return no_room(room_err)
    end
    local text = ngx.req.get_body_data()
    if text then
        if #text > max_bytes then
            return too_large(max_bytes)
        end
        return _M.of_text(text)
    end

    local path = ngx.req.get_body_file()
    if not path then
        return nil
    end
    local size, err = file_size(path)
    if not size then
        return no_room(err)
    end
    if size > max_bytes then
        return too_large(max_bytes)
    end
    return { size = size, path = path }
end

local function read_slice(path, offset, length)
    local file = io_open(path, "rb")
    file:seek("set", offset)
    local data = file:read(length) or ""
    file:close()
    return data
end

--- Part of the body.
-- @param offset number bytes from the start
-- @param length number
function _M.slice(body, offset, length)
    local data = body.text and body.text:sub(offset + 1, offset + length)
        or read_slice(body.path, offset, length)
    garbage.catch_up(#data)
    return data
end

-- The text that a body in memory becomes with its parts.
local function text_of(body, parts)
    local texts = {}
    for index, part in ipairs(parts) do
        texts[index] = type(part) == "string" and part or body.text:sub(part[1] + 1, part[2])
    end
    return table_concat(texts)
end

--- A new body in which some bytes are replaced:
--
--     "abcd", { { offset = 1, length = 2, text = "X" } } -> "aXd"
--
-- @param edits table list of { offset, length, text } in the order of their offsets
function _M.with_edits(body, edits)
    local parts, size, from = {}, body.size, 0
    for _, edit in ipairs(edits) do
        parts[#parts + 1] = { from, edit.offset }
        parts[#parts + 1] = edit.text
        size, from = size + #edit.text - edit.length, edit.offset + edit.length
    end
    parts[#parts + 1] = { from, body.size }
    if body.text then
        return _M.of_text(text_of(body, parts))
    end
    return { size = size, path = body.path, parts = parts }
end

-- Hands out the parts of a body in a file one after the other, in chunks.
local function read_file(body)
    local parts = body.parts or { { 0, body.size } }
    local index, file = 1, io_open(body.path, "rb")
    local offset = parts[1][1]
    return function()
        while index <= #parts do
            local part = parts[index]
            if type(part) == "string" then
                index, offset = index + 1, nil
                return part
            end

            offset = offset or part[1]
            if offset < part[2] then
                file:seek("set", offset)
                local data = file:read(math_min(CHUNK_BYTES, part[2] - offset))
                garbage.catch_up(#data)
                offset = offset + #data
                return data
            end
            index, offset = index + 1, nil
        end
        if file then
            file:close()
            file = nil
        end
        return nil
    end
end

--- A body for `json_scanner.scan`.
-- @return string|function the text, or a function that returns a file in pieces of at most 64 KB, then nil
function _M.pieces(body)
    return body.text or read_file(body)
end

-- Hands out a file as it is sent, and pauses now and then.
local function read_to_send(body)
    local next_piece, since = read_file(body), 0
    return function()
        local piece = next_piece()
        since = since + (piece and #piece or 0)
        if since >= PAUSE_BYTES then
            since = 0
            pause()
        end
        return piece
    end
end

--- The body in the form in which it is sent: text, or a reader that hands it out once.
-- @param body table|nil
-- @return string|function|nil
function _M.sendable(body)
    return body and (body.text or read_to_send(body))
end

return _M
