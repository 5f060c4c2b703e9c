--- What the client sent.
local json = require("apisix.core.json")

local ngx = ngx
local tonumber = tonumber
local type = type

local _M = {}

--- All headers by their names in lower case; a header sent twice is a list.
function _M.headers(_)
    return (ngx.req.get_headers())
end

--- The first value of a header.
function _M.header(ctx, name)
    local value = _M.headers(ctx)[name]
    if type(value) == "table" then
        return value[1]
    end
    return value
end

--- Sets or, without a value, removes a header of the request.
function _M.set_header(ctx, name, value)
    ngx.req.set_header(name, value)
    -- Forgets what `ctx.var` remembers of it.
    ctx.var["http_" .. name:lower():gsub("-", "_")] = nil
end

--- The query's arguments, without a limit on their number.
function _M.get_uri_args(ctx)
    if not ctx.req_uri_args then
        ctx.req_uri_args = ngx.req.get_uri_args(0)
    end
    return ctx.req_uri_args
end

local function check_size(size, max_size)
    if max_size and size > max_size then
        return nil, "request size " .. size .. " is greater than the maximum size " .. max_size .. " allowed"
    end
    return true
end

local function read_file(path, max_size)
    local file, err = io.open(path, "rb")
    if not file then
        return nil, err
    end
    local body, ok
    ok, err = check_size(file:seek("end"), max_size)
    if ok then
        file:seek("set")
        body = file:read("*a")
    end
    file:close()
    return body, err
end

--- The body as it was sent; nil without an error when there is none.
-- @param max_size number|nil limit in bytes; a larger Content-Length is refused before anything is read
function _M.get_body(max_size, ctx)
    if max_size then
        local var = ctx and ctx.var or ngx.var
        local ok, err = check_size(tonumber(var.http_content_length) or 0, max_size)
        if not ok then
            -- Otherwise nginx would still ask the client for the body that was just refused.
            if (var.http_expect or ""):lower() == "100-continue" then
                ngx.req.clear_header("expect")
            end
            return nil, err
        end
    end

    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if body then
        local ok, err = check_size(#body, max_size)
        if not ok then
            return nil, err
        end
        return body
    end
    local path = ngx.req.get_body_file()
    if not path then
        return nil
    end
    return read_file(path, max_size)
end

local function read_json(ctx, max_size)
    local body, err = _M.get_body(max_size, ctx)
    if not body then
        return nil, "could not get body: " .. (err or "request body is empty")
    end
    local value
    value, err = json.decode(body)
    if not value then
        return nil, "could not parse JSON request body: " .. (err or "invalid JSON")
    end
    return value
end

--- The JSON body as a table, decoded once per request.
-- @return the table, or nil and { message = what is wrong }
function _M.get_json_request_body_table(max_size)
    local ctx = ngx.ctx.api_ctx
    if ctx._request_body_table == nil then
        local value, err = read_json(ctx, max_size)
        if not value then
            return nil, { message = err }
        end
        ctx._request_body_table = value
    end
    return ctx._request_body_table
end

return _M
