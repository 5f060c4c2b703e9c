--- Sends what Lua writes to the client through body_filter.
--
-- nginx could run that phase itself, but ngx_lua 0.10.23 stays in the phase when a write has to wait for the client.
-- Then the writer can write no more, and the answer ends in the middle. So nginx runs it for its own pages only.
local log = require("apisix.core.log")

local ngx = ngx
local pcall = pcall
local setmetatable = setmetatable

local _M = {}

-- The arguments of the phase while it runs here. The phase never waits, so one set is enough.
local current

local of_nginx = ngx.arg
ngx.arg = setmetatable({}, {
    __index = function(_, index)
        return (current or of_nginx)[index]
    end,
    __newindex = function(_, index, value)
        (current or of_nginx)[index] = value
    end,
})

local function filtered(filter, chunk, is_last)
    current = { chunk, is_last }
    local ok, err = pcall(filter)
    chunk, current = current[1], nil
    if not ok then
        log.error("body_filter failed: ", err)
        -- As nginx does: the client must not mistake the part that it has for the whole answer.
        return ngx.exit(ngx.ERROR)
    end
    return chunk or ""
end

local function send(chunk, is_last)
    -- header_filter runs first, because it decides what body_filter does.
    local ok, err = ngx.send_headers()
    if not ok then
        return nil, err
    end
    local ctx = ngx.ctx.api_ctx
    if ctx then
        chunk = filtered(ctx._filter_body, chunk, is_last)
    end
    if chunk == "" then
        return 1
    end
    return ngx.print(chunk)
end

--- Sends a part of the answer, after the headers.
-- @param chunk string
-- @return 1, or nil and an error (the client has gone)
function _M.write(chunk)
    return send(chunk, false)
end

--- Ends the answer for body_filter; nothing may be written after it.
function _M.finish()
    return send("", true)
end

return _M
