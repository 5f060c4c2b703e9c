--- An HTTP/1.1 client on cosockets, with the part of lua-resty-http's interface that the gateway uses.
-- Body readers hand out bytes as they arrive, in whatever chunks the sender has cut them.
local concat = table.concat
local ipairs = ipairs
local min = math.min
local ngx = ngx
local pairs = pairs
local pcall = pcall
local rawget = rawget
local rawset = rawset
local setmetatable = setmetatable
local tonumber = tonumber
local tostring = tostring
local type = type

local READ_SIZE = 65536
local DEFAULT_PORTS = { http = 80, https = 443 }
local METHODS_WITH_BODY = { POST = true, PUT = true, PATCH = true }

local _M = { _VERSION = "0.17.1" }
local mt = { __index = _M }

-- A table of headers that keeps names as they were received, and finds them in any case.
local function new_headers()
    local spelling = {}
    local function canonical(name)
        return (name:lower():gsub("_", "-"))
    end
    return setmetatable({}, {
        __index = function(self, name)
            local known = type(name) == "string" and spelling[canonical(name)]
            return known and rawget(self, known) or nil
        end,
        __newindex = function(self, name, value)
            local key = canonical(name)
            spelling[key] = spelling[key] or name
            rawset(self, spelling[key], value)
        end,
    })
end

--- A client for one connection at a time.
function _M.new()
    local sock, err = ngx.socket.tcp()
    if not sock then
        return nil, err
    end
    return setmetatable({ sock = sock }, mt)
end

--- Sets the timeouts for connecting, sending and reading, all in milliseconds.
function _M:set_timeouts(connect, send, read)
    return self.sock:settimeouts(connect, send, read)
end

local function pool_of(options, server_name)
    if options.scheme ~= "https" then
        return concat({ options.host, options.port }, ":")
    end
    local verified = tostring(options.ssl_verify ~= false)
    return concat({ "https", options.host, options.port, server_name, verified }, ":")
end

-- lua-resty-core 0.1.25 fails an assertion, where it should return the reason, when a certificate is refused
-- and the handshake did not have to wait.
local function handshake(sock, server_name, verify)
    local returned, session, err = pcall(sock.sslhandshake, sock, nil, server_name, verify)
    if returned then
        return session, err
    end
    return nil, "certificate verify error, or a failed handshake: " .. tostring(session)
end

--- Connects, with TLS when `scheme` is https.
-- @param options table { scheme, host, port, ssl_verify (default true), ssl_server_name (default host), pool }
-- @return true, or nil and an error
function _M:connect(options)
    local server_name = options.ssl_server_name or options.host
    self.scheme, self.host, self.port = options.scheme, options.host, options.port
    self.usable, self.reusable = false, false
    local ok, err = self.sock:connect(options.host, options.port, {
        pool = options.pool or pool_of(options, server_name),
    })
    if not ok then
        return nil, err
    end
    if options.scheme == "https" and self.sock:getreusedtimes() == 0 then
        ok, err = handshake(self.sock, server_name, options.ssl_verify ~= false)
        if not ok then
            self:close()
            return nil, err
        end
    end
    self.usable = true
    return true
end

--- How often the connection was used before; 0 for a new one.
function _M:get_reused_times()
    return self.sock:getreusedtimes()
end

function _M:close()
    self.usable = false
    return self.sock:close()
end

--- Puts the connection back into its pool, unless the response forbids that or was not read to the end.
-- @param timeout idle time in milliseconds
-- @param pool_size number of connections to keep
-- @return 1, or 2 and a reason when it was closed instead, or nil and an error
function _M:set_keepalive(timeout, pool_size)
    if not self.reusable then
        local ok, err = self:close()
        if not ok then
            return nil, err
        end
        return 2, "connection must be closed"
    end
    self.usable = false
    return self.sock:setkeepalive(timeout, pool_size)
end

local function query_text(query)
    if type(query) == "table" then
        return "?" .. ngx.encode_args(query)
    elseif query and query ~= "" and query:sub(1, 1) ~= "?" then
        return "?" .. query
    end
    return query or ""
end

local function host_header(self)
    if self.port == DEFAULT_PORTS[self.scheme] then
        return self.host
    end
    return self.host .. ":" .. self.port
end

-- The library refuses these too: a query, for one, is a parameter of its own.
local NOT_IN_PATH = "[%z\1-\32#<>?`]"

local function body_length(body)
    if type(body) ~= "table" then
        return #tostring(body)
    end
    local length = 0
    for _, part in ipairs(body) do
        length = length + #tostring(part)
    end
    return length
end

local function request_headers(self, method, params)
    local headers = new_headers()
    for name, value in pairs(params.headers or {}) do
        headers[name] = value
    end
    if not headers["Content-Length"] and not headers["Transfer-Encoding"] then
        if type(params.body) == "function" then
            return nil, "a body of unknown length needs Content-Length or Transfer-Encoding"
        elseif params.body then
            headers["Content-Length"] = body_length(params.body)
        elseif METHODS_WITH_BODY[method] then
            headers["Content-Length"] = 0
        end
    end
    headers["Host"] = headers["Host"] or host_header(self)
    headers["User-Agent"] = headers["User-Agent"] or "lua-resty-http/" .. _M._VERSION
    return headers
end

local function head_of(method, params, headers)
    local lines = {
        method .. " " .. (params.path or "/") .. query_text(params.query) .. " HTTP/1.1",
    }
    for name, value in pairs(headers) do
        for _, item in ipairs(type(value) == "table" and value or { value }) do
            lines[#lines + 1] = name .. ": " .. tostring(item)
        end
    end
    lines[#lines + 1] = "\r\n"
    return concat(lines, "\r\n")
end

local function send_body(sock, next_part)
    while true do
        local part, err = next_part()
        if not part then
            return not err or nil, err
        end
        local ok
        ok, err = sock:send(part)
        if not ok then
            return nil, err
        end
    end
end

local function read_status(sock)
    local line, err = sock:receive("*l")
    if not line then
        return nil, err
    end
    local version, status, reason = line:match("^HTTP/(1%.%d) (%d%d%d) ?(.*)$")
    if not version then
        return nil, "malformed status line"
    end
    return { version = version, status = tonumber(status), reason = reason }
end

local function read_headers(sock)
    local headers = new_headers()
    while true do
        local line, err = sock:receive("*l")
        if not line then
            return nil, err
        elseif line == "" then
            return headers
        end
        local name, value = line:match("^([^:%s]+):%s*(.-)%s*$")
        if not name then
            return nil, "malformed header"
        end
        local old = headers[name]
        if type(old) == "table" then
            old[#old + 1] = value
        else
            headers[name] = old and { old, value } or value
        end
    end
end

-- Reads up to `limit` bytes as soon as there are any.
local function read_some(sock, limit)
    local data, err, partial = sock:receiveany(min(limit, READ_SIZE))
    if not data and partial and partial ~= "" then
        return partial
    end
    return data, err
end

-- The three framings below are functions (size) that return bytes, or nil at the end, or nil and an
-- error; `finished` is called at the end of a body after which the connection can be used again.

local function sized_body(sock, length, finished)
    local left = length
    return function(size)
        if left == 0 then
            return nil
        end
        local data, err = read_some(sock, min(size, left))
        if not data then
            return nil, err
        end
        left = left - #data
        if left == 0 then
            finished()
        end
        return data
    end
end

-- Reads the line end of the last chunk together with the next size, so that no data has to wait for it.
local function next_chunk_size(sock, after_chunk)
    if after_chunk then
        local line_end, err = sock:receive(2)
        if not line_end then
            return nil, err
        end
    end
    local line, err = sock:receive("*l")
    if not line then
        return nil, err
    end
    local size = line:match("^%s*(%x+)")
    if not size then
        return nil, "malformed chunk size"
    end
    return tonumber(size, 16)
end

local function chunked_body(sock, finished)
    local left, first, ended = 0, true, false

    local function last_chunk()
        ended = true
        local trailers, err = read_headers(sock)
        if trailers then
            finished()
        end
        return nil, err
    end

    return function(size)
        if ended then
            return nil
        elseif left == 0 then
            local chunk_size, err = next_chunk_size(sock, not first)
            first = false
            if not chunk_size then
                return nil, err
            elseif chunk_size == 0 then
                return last_chunk()
            end
            left = chunk_size
        end
        local data, err = read_some(sock, min(size, left))
        left = left - #(data or "")
        return data, err
    end
end

local function body_until_close(sock)
    return function(size)
        local data, err = read_some(sock, size)
        if not data and err == "closed" then
            return nil
        end
        return data, err
    end
end

local function no_body()
    return nil
end

-- After an error every further read gives the same error.
local function body_reader(read)
    local failed
    return function(size)
        if failed then
            return nil, failed
        end
        local data, err = read(size or READ_SIZE)
        failed = err
        return data, err
    end
end

local function read_body(res)
    local parts = {}
    while true do
        local data, err = res.body_reader()
        if err then
            return nil, err
        elseif not data then
            break
        end
        parts[#parts + 1] = data
    end
    return concat(parts)
end

local function has_token(value, token)
    if type(value) == "table" then
        value = concat(value, ",")
    end
    if value == nil then
        return false
    end
    local tokens = "," .. value:lower():gsub("%s", "") .. ","
    return tokens:find("," .. token .. ",", 1, true) ~= nil
end

local function keeps_open(res)
    if res.version == "1.0" then
        return has_token(res.headers["Connection"], "keep-alive")
    end
    return not has_token(res.headers["Connection"], "close")
end

local function frame_body(self, res, method)
    -- What the response says; `reusable` also means that it was read to its end.
    self.keepalive = keeps_open(res)
    local function finished()
        self.reusable = self.keepalive
    end
    local status, headers = res.status, res.headers
    res.has_body = method ~= "HEAD" and status ~= 204 and status ~= 304 and status ~= 101
    res.read_body = read_body
    if not res.has_body then
        finished()
        res.body_reader = no_body
        return res
    end
    local length = headers["Content-Length"]
    if has_token(headers["Transfer-Encoding"], "chunked") then
        res.body_reader = body_reader(chunked_body(self.sock, finished))
    elseif length then
        length = type(length) == "string" and length:match("^%d+$") and tonumber(length)
        if not length then
            return nil, "malformed Content-Length"
        elseif length == 0 then
            finished()
        end
        res.body_reader = body_reader(sized_body(self.sock, length, finished))
    else
        res.body_reader = body_reader(body_until_close(self.sock))
    end
    return res
end

--- Waits for the headers of a response; also when the request could not be sent to its end.
-- Takes the parameters of `send_request`, and returns what `request` returns.
function _M:read_response(params)
    local res, err
    repeat
        res, err = read_status(self.sock)
        if not res then
            return nil, err
        end
        res.headers, err = read_headers(self.sock)
        if not res.headers then
            return nil, err
        end
    until res.status >= 200 or res.status == 101
    return frame_body(self, res, params.method or "GET")
end

local function send(sock, head, body)
    if body == nil then
        return sock:send(head)
    elseif type(body) ~= "function" then
        -- In one call, so that a small request is one segment.
        return sock:send({ head, body })
    end
    local ok, err = sock:send(head)
    if not ok then
        return nil, err
    end
    return send_body(sock, body)
end

--- Sends a request.
-- @param params table { method (GET), path (/), query (a string or a table), headers, body }; a body is a string, a
--   list of strings, or a function that returns the next string and writes its own framing
-- @return true, or nil and an error
function _M:send_request(params)
    if not self.usable then
        return nil, "not connected"
    end
    local method = params.method or "GET"
    if (params.path or "/"):find(NOT_IN_PATH) then
        return nil, "invalid characters found in path"
    end
    local headers, err = request_headers(self, method, params)
    if not headers then
        return nil, err
    end
    self.reusable = false
    return send(self.sock, head_of(method, params, headers), params.body)
end

--- Sends a request and waits for the response's headers. Takes the parameters of `send_request`.
-- @return table|nil { status, reason, headers, has_body, body_reader, read_body }
-- @return string|nil error
function _M:request(params)
    local ok, err = self:send_request(params)
    if not ok then
        return nil, err
    end
    return self:read_response(params)
end

-- Takes a URI apart: https://host/path?a=1 is { "https", "host", 443, "/path", "a=1" }.
local function parse_uri(uri)
    local scheme, authority, rest = uri:match("^(https?)://([^/?#]+)(.*)$")
    if not scheme then
        return nil, "bad uri"
    end
    local host, port = authority:match("^(.-):(%d+)$")
    local path, query = rest:match("^([^?#]*)%??([^#]*)")
    return {
        scheme,
        host or authority,
        tonumber(port) or DEFAULT_PORTS[scheme],
        path ~= "" and path or "/",
        query,
    }
end

--- Sends one request to a URI and reads the whole answer.
-- @param params table { method (GET), headers, body, keepalive (true) }
-- @return table|nil { status, reason, headers, body }
-- @return string|nil error
function _M:request_uri(uri, params)
    local parsed, err = parse_uri(uri)
    if not parsed then
        return nil, err
    end
    local connected
    connected, err = self:connect({
        scheme = parsed[1],
        host = parsed[2],
        port = parsed[3],
    })
    if not connected then
        return nil, err
    end
    local res
    res, err = self:request({
        method = params.method,
        path = parsed[4],
        query = parsed[5],
        headers = params.headers,
        body = params.body,
    })
    if res then
        res.body, err = res:read_body()
    end
    if not res or not res.body then
        self:close()
        return nil, err
    elseif params.keepalive == false then
        self:close()
    else
        self:set_keepalive()
    end
    return res
end

return _M
