--- One HTTP/1.1 exchange on a connection: the request out, the head of the response in (RFC 9112).
local answer_body = require("apisix.plugins.azure-openai.attempt.answer_body")
local connection_module = require("apisix.plugins.azure-openai.attempt.connection")
local response_head = require("apisix.plugins.azure-openai.attempt.response_head")
local sending = require("apisix.plugins.azure-openai.attempt.sending")
local request_body = require("apisix.plugins.azure-openai.request.body")

local ipairs = ipairs
local pairs = pairs
local type = type
local ngx_now = ngx.now
local string_find = string.find

local SWITCHING_PROTOCOLS, NO_CONTENT, NOT_MODIFIED = 101, 204, 304
local DEFAULT_PORTS = { http = 80, https = 443 }
-- Without a body these say so by a length of 0 (RFC 9110, section 8.6).
local EXPECTS_BODY = { POST = true, PUT = true, PATCH = true }

local BROKEN = connection_module.BROKEN

local _M = {}

-- The head of a request. The socket takes it in pieces: of heads as texts LuaJIT would compare many, because most are
-- nearly the same. It copies them before anything waits, so all requests share the list.
local pieces = {}

-- Adds a header behind the first `count` pieces. Returns how many there are now; nil when a value has more than one
-- line. Clients' values were looked at before, but a credential comes from elsewhere.
local function add_line(count, name, value)
    if type(value) == "string" and string_find(value, "\n", 1, true) then
        return nil
    end
    pieces[count + 1], pieces[count + 2], pieces[count + 3], pieces[count + 4] = name, ": ", value, "\r\n"
    return count + 4
end

local function add_lines(count, headers)
    for name, value in pairs(headers) do
        if type(value) == "table" then
            for _, one in ipairs(value) do
                count = count and add_line(count, name, one)
            end
        else
            count = count and add_line(count, name, value)
        end
    end
    return count
end

local function add_request_line(server, message)
    local port = server.port ~= DEFAULT_PORTS[server.scheme] and ":" .. server.port or ""
    pieces[1], pieces[2], pieces[3], pieces[4] = message.method, " ", message.target, " HTTP/1.1\r\nhost: "
    pieces[5], pieces[6], pieces[7] = server.host, port, "\r\n"
    return 7
end

-- The head of the request; nil when a header cannot be sent. It has to be sent before the next one is made.
local function head_of(server, message)
    local count, body = add_request_line(server, message), message.body
    if body or EXPECTS_BODY[message.method] then
        count = add_line(count, "content-length", body and body.size or 0)
    end
    count = add_lines(count, message.headers)
    if not count then
        return nil
    end
    pieces[count + 1] = "\r\n"
    -- What an earlier request has left.
    for index = #pieces, count + 2, -1 do
        pieces[index] = nil
    end
    return pieces
end

local function has_body(status, method)
    return method ~= "HEAD"
        and status ~= SWITCHING_PROTOCOLS
        and status ~= NO_CONTENT
        and status ~= NOT_MODIFIED
end

-- Keeps the first line of a header that may occur only once.
local function keep_one(headers, name)
    local value = headers[name]
    if type(value) == "table" then
        headers[name] = value[1]
    end
end

-- Whether a 204 says that something follows it. Nothing may, but a server that says so may send it, and on a connection
-- that is used again that would be the answer to somebody's next request.
local function has_odd_sequel(response)
    local headers = response.headers
    return response.status == NO_CONTENT
        and (headers["transfer-encoding"] ~= nil or (headers["content-length"] or "0") ~= "0")
end

-- Completes a response whose head was read.
local function with_body(response, connection, method)
    response.connection = connection
    keep_one(response.headers, "content-type")
    response.is_kept = response.is_kept and not has_odd_sequel(response)
    local err
    if has_body(response.status, method) then
        response.body, err = answer_body.new(connection, response.headers)
    end
    return not err and response or nil, err
end

-- Sends a request, then waits for the head of the response.
local function send_then_listen(connection, head, body)
    local sent, err = sending.send(connection, head, request_body.sendable(body))
    local sent_at = ngx_now()
    local response, read_err
    -- A server that refuses the body may have answered before it closed.
    if sent or (BROKEN[err] and body) then
        response, read_err = response_head.read(connection)
        err = err or read_err
    end
    return response, err, sent_at
end

--- Sends a request and waits for the head of the response. Where there is none, the connection is of no more use.
-- @param connection table attempt/connection.lua
-- @param server table { scheme, host, port } that it leads to
-- @param message table { method, target (path and query), headers, body (as request/body makes it, or nil) }
-- @param listens_early boolean|nil whether a response may come while a large body is sent; then the coroutine that
--   calls this has to release or close the response
-- @return table|nil response { status, headers (names in lower case), body (attempt/answer_body.lua; nil when it has
--   none), connection, is_kept }
-- @return string|nil error
-- @return number when sending ended
function _M.exchange(connection, server, message, listens_early)
    local head, body = head_of(server, message), message.body
    if not head then
        return nil, "a header of more than one line", ngx_now()
    end
    local response, err, sent_at
    if listens_early and body and body.size > sending.SMALL_BYTES then
        -- Made anew for each try: a reader that a dead connection has begun would continue in the middle.
        response, err, sent_at = sending.send_and_listen(connection, head, request_body.sendable(body))
    else
        response, err, sent_at = send_then_listen(connection, head, body)
    end
    if response then
        response, err = with_body(response, connection, message.method)
    end
    return response, err, sent_at
end

--- Puts the connection of a fully read response back into the pool that it came from, unless it cannot be used again.
function _M.release(response)
    local body = response.body
    if response.is_kept and (not body or body:leaves_clean()) then
        return response.connection:release()
    end
    return response.connection:close()
end

--- Drops the connection of a response that is not read to its end.
function _M.close(response)
    response.connection:close()
end

return _M
