--- Small helpers of APISIX's core that plugins reach for.
local random = require("nginx.random")
local to_hex = require("nginx.string").to_hex

local _M = { sleep = ngx.sleep }

--- A random number to seed math.random with, or nil and an error.
function _M.get_seed_from_urandom()
    local bytes = random.bytes(4)
    if not bytes then
        return nil, "no random bytes"
    end
    return tonumber(to_hex(bytes), 16)
end

function _M.uuid()
    local hex = to_hex(random.bytes(16))
    return table.concat({
        hex:sub(1, 8),
        hex:sub(9, 12),
        "4" .. hex:sub(14, 16),
        "a" .. hex:sub(18, 20),
        hex:sub(21, 32),
    }, "-")
end

local hostname

function _M.gethostname()
    if not hostname then
        local file = io.open("/etc/hostname", "r")
        hostname = file and file:read("*l") or "localhost"
        if file then
            file:close()
        end
    end
    return hostname
end

return _M
