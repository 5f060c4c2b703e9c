--- The distribution's client, which it ships under another name, with TLS as in newer versions.
local redis = require("nginx.redis")

local rawget = rawget
local setmetatable = setmetatable

local _M = setmetatable({}, { __index = redis })
local mt = { __index = _M }

function _M.new()
    local client, err = redis.new()
    return client and setmetatable(client, mt), err
end

--- Connects.
-- @param options table|nil with `ssl`, `ssl_verify` and `server_name`
function _M.connect(self, host, port, options)
    local ok, err = redis.connect(self, host, port, options)
    if ok and options and options.ssl and self:get_reused_times() == 0 then
        ok, err = rawget(self, "_sock"):sslhandshake(false, options.server_name, options.ssl_verify)
        if not ok then
            return nil, "failed to do ssl handshake: " .. err
        end
    end
    return ok, err
end

return _M
