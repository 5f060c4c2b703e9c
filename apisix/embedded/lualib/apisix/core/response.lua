--- What the client gets.
local add_header = require("ngx.resp").add_header
local json = require("apisix.core.json")
local output = require("embedded.output")

local concat = table.concat
local error = error
local ngx = ngx
local pairs = pairs
local select = select
local tostring = tostring
local type = type

local _M = {}

local function printable(value)
    if type(value) == "table" then
        local text, err = json.encode(value)
        if not text then
            error("the body cannot be encoded: " .. err)
        end
        return text .. "\n"
    end
    return tostring(value)
end

-- Whether an answer has anything to end. Where nothing was written for an error, nginx answers with a page of its own.
local function is_begun(code)
    return ngx.headers_sent or (code < 300 and code ~= 204)
end

--- Answers with a status and a body (tables as JSON) and ends the request.
-- Called without a status it only adds to the body, as APISIX's does.
function _M.exit(code, ...)
    local parts, count = {}, 0
    if code and type(code) ~= "number" then
        parts[1], count, code = printable(code), 1, nil
    end
    for i = 1, select("#", ...) do
        local part = (select(i, ...))
        if part ~= nil then
            count = count + 1
            parts[count] = printable(part)
        end
    end

    if code then
        ngx.status = code
    end
    if count > 0 then
        output.write(concat(parts))
    end
    if code then
        local ctx = ngx.ctx.api_ctx
        if ctx and not ctx._resp_source then
            ctx._resp_source = "apisix"
        end
        if is_begun(code) then
            output.finish()
        end
        return ngx.exit(code)
    end
end

function _M.say(...)
    _M.exit(nil, ...)
end

local function each_header(change, ...)
    if ngx.headers_sent then
        error("the response headers have been sent already", 3)
    end
    local count = select("#", ...)
    if count > 1 then
        for i = 1, count, 2 do
            change((select(i, ...)), (select(i + 1, ...)))
        end
        return
    end
    local headers = ...
    if type(headers) ~= "table" then
        ngx.header[headers] = nil
        return
    end
    for name, value in pairs(headers) do
        change(name, value)
    end
end

local function assign(name, value)
    ngx.header[name] = value
end

--- set_header(name, value, …) or set_header({name = value}); set_header(name) removes it.
function _M.set_header(...)
    each_header(assign, ...)
end

function _M.add_header(...)
    each_header(add_header, ...)
end

--- Records who made the answer: "apisix" or "upstream".
function _M.set_response_source(ctx, source)
    if ctx then
        ctx._resp_source = source
    end
end

function _M.get_response_source(ctx)
    return ctx and ctx._resp_source or "apisix"
end

--- Removes the headers that describe a body which is about to change.
function _M.clear_header_as_body_modified()
    for _, name in ipairs({ "content_length", "content_encoding", "last_modified", "etag" }) do
        ngx.header[name] = nil
    end
end

--- For body_filter: keeps the chunks back and returns the whole body with the last one.
-- @param hold_the_copy when true the chunks are passed on as well
-- @param max_bytes return what was kept as soon as there is this much
function _M.hold_body_chunk(ctx, hold_the_copy, max_bytes, buffer_key)
    local arg = ngx.arg
    local chunk, eof = arg[1], arg[2]
    local buffers = ctx._body_buffer or {}
    ctx._body_buffer = buffers
    local key = buffer_key or ctx._plugin_name
    local buffer = buffers[key] or { size = 0 }
    buffers[key] = buffer

    if buffer.done then
        return nil
    end
    if type(chunk) == "string" and chunk ~= "" then
        buffer[#buffer + 1] = chunk
        buffer.size = buffer.size + #chunk
    end
    if max_bytes and buffer.size >= max_bytes then
        buffer.done = true
        return concat(buffer):sub(1, max_bytes)
    end
    if eof then
        buffers[key] = nil
        return concat(buffer)
    end
    if not hold_the_copy then
        arg[1] = nil
    end
    return nil
end

return _M
