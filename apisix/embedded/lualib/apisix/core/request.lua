--- What the client sent.
local json = require("apisix.core.json")
local req_add_header = require("ngx.req").add_header

local error = error
local ngx = ngx
local tonumber = tonumber
local type = type

local _M = {
    get_method = ngx.req.get_method,
    get_http_version = ngx.req.http_version,
}

local function context(ctx)
    return ctx or ngx.ctx.api_ctx
end

--- All headers, keys in lower case; a header sent twice is a list.
function _M.headers(_)
    return (ngx.req.get_headers())
end

--- First value of a header.
function _M.header(ctx, name)
    local value = _M.headers(ctx)[name]
    if type(value) == "table" then
        return value[1]
    end
    return value
end

local function changed(ctx, name)
    if type(name) ~= "string" then
        error("the name of a header is a string", 3)
    end
    if ctx and ctx.var then
        ctx.var["http_" .. name:lower():gsub("-", "_")] = nil
    end
end

function _M.set_header(ctx, name, value)
    ngx.req.set_header(name, value)
    changed(ctx, name)
end

function _M.add_header(ctx, name, value)
    req_add_header(name, value)
    changed(ctx, name)
end

--- Address of the peer, which may be a proxy.
function _M.get_ip(ctx)
    local var = context(ctx).var
    return var.realip_remote_addr or var.remote_addr or ""
end

--- Address of the client, as the real-IP settings see it.
function _M.get_remote_client_ip(ctx)
    return context(ctx).var.remote_addr or ""
end

function _M.get_remote_client_port(ctx)
    return tonumber(context(ctx).var.remote_port)
end

function _M.get_scheme(ctx)
    return context(ctx).var.scheme or ""
end

function _M.get_host(ctx)
    return context(ctx).var.host or ""
end

function _M.get_port(ctx)
    return tonumber(context(ctx).var.server_port)
end

function _M.get_uri_args(ctx)
    ctx = context(ctx)
    if not ctx.req_uri_args then
        ctx.req_uri_args = ngx.req.get_uri_args(0)
    end
    return ctx.req_uri_args
end

function _M.set_uri_args(ctx, args)
    context(ctx).req_uri_args = nil
    return ngx.req.set_uri_args(args)
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
-- @param max_size limit in bytes; a larger Content-Length is refused before anything is read
function _M.get_body(max_size, ctx)
    if max_size then
        local var = ctx and ctx.var or ngx.var
        local ok, err = check_size(tonumber(var.http_content_length) or 0, max_size)
        if not ok then
            -- Without this nginx would still invite the body that was just refused.
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
-- @return the table, or nil and {message = what is wrong}
function _M.get_json_request_body_table(max_size)
    local ctx = context()
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
