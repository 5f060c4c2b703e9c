--- The answer to the client.
local json = require("apisix.core.json")
local output = require("embedded.output")

local concat = table.concat
local error = error
local ipairs = ipairs
local ngx = ngx
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

-- Whether an answer has begun. An error without a body has not: nginx answers it with a page of its own.
local function is_begun(code)
    return ngx.headers_sent or (code < 300 and code ~= 204)
end

--- Answers with a status and a body (a table as JSON) and ends the request.
function _M.exit(code, body)
    ngx.status = code
    if body ~= nil then
        output.write(printable(body))
    end
    if is_begun(code) then
        output.finish()
    end
    return ngx.exit(code)
end

--- Sets or, without a value, removes a header of the answer.
function _M.set_header(name, value)
    ngx.header[name] = value
end

--- Records who made the answer: "apisix" or "upstream".
function _M.set_response_source(ctx, source)
    ctx._resp_source = source
end

--- Who made the answer.
function _M.get_response_source(ctx)
    return ctx._resp_source or "apisix"
end

--- Removes the headers that describe a body which is about to change.
function _M.clear_header_as_body_modified()
    for _, name in ipairs({ "content_length", "content_encoding", "last_modified", "etag" }) do
        ngx.header[name] = nil
    end
end

--- For body_filter: keeps the chunks back and returns the whole body with the last one.
function _M.hold_body_chunk(ctx)
    local arg = ngx.arg
    local chunk, is_last = arg[1], arg[2]
    local buffers = ctx._body_buffers or {}
    ctx._body_buffers = buffers
    local buffer = buffers[ctx._plugin_name] or {}
    buffers[ctx._plugin_name] = buffer
    if chunk and chunk ~= "" then
        buffer[#buffer + 1] = chunk
    end
    if is_last then
        buffers[ctx._plugin_name] = nil
        return concat(buffer)
    end
    arg[1] = nil
    return nil
end

return _M
