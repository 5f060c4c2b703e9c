--- The HTTP client of ai-proxy-multi: one request over resty.http.
local core = require("apisix.core")
local http = require("resty.http")

local ngx_now = ngx.now
local pairs = pairs
local type = type

local _M = {}

--- Status for a transport error: 504 for a timeout, else 500.
function _M.handle_error(err)
    if core.string.find(err, "timeout") or core.string.find(err, "timed out") then
        return 504
    end
    return 500
end

local NOT_FORWARDED = { host = true, ["content-length"] = true, ["accept-encoding"] = true }

--- The client's headers merged with `extra`, in lower case, as a JSON request to a backend.
function _M.construct_forward_headers(extra, client_headers)
    local headers = {}
    for _, source in ipairs({ client_headers or {}, extra or {} }) do
        for name, value in pairs(source) do
            headers[name:lower()] = value
        end
    end
    headers["content-type"] = "application/json"
    for name in pairs(NOT_FORWARDED) do
        headers[name] = nil
    end
    return headers
end

local function failure(stage, err, params, started)
    return nil,
        stage .. ": " .. (err or "unknown"),
        {
            upstream_addr = (params.host or "") .. ":" .. (params.port or ""),
            upstream_host = params.host or "",
            upstream_scheme = params.scheme or "http",
            upstream_uri = params.path,
            t0 = started,
        }
end

--- Connects, sends and waits for the response's headers.
-- @param params what resty.http's connect and request take; a table as body is sent as JSON
-- @param timeout milliseconds for each of connecting, sending and reading
-- @return the response, or nil, an error and what is known of the attempt
function _M.request(params, timeout)
    local client = http.new()
    client:set_timeout(timeout)

    local started = ngx_now()
    local ok, err = client:connect(params)
    if not ok then
        return failure("connect", err, params, started)
    end
    local connect_time = (ngx_now() - started) * 1000

    if type(params.body) == "table" then
        params.body, err = core.json.canonical_encode(params.body)
        if not params.body then
            client:close()
            return failure("encode body", err, params, started)
        end
    end

    local res
    res, err = client:request(params)
    if not res then
        client:close()
        return failure("request", err, params, started)
    end
    res._httpc = client
    res._upstream_addr = (params.host or "") .. ":" .. (params.port or "")
    res._upstream_host = params.host or ""
    res._upstream_scheme = params.scheme or "http"
    res._upstream_uri = params.path
    res._connect_time = connect_time
    res._header_time = (ngx_now() - started) * 1000
    res._t0 = started
    return res
end

--- Keeps the response's connection for another request.
-- @param timeout idle time in milliseconds
-- @param pool number of idle connections to keep
function _M.set_keepalive(res, timeout, pool)
    if res and res._httpc then
        local ok, err = res._httpc:set_keepalive(timeout, pool)
        if not ok then
            core.log.warn("failed to keepalive connection: ", err)
        end
    end
end

return _M
