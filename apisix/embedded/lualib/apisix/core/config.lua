--- The local configuration: `config.yaml` in the instance's directory.
local lyaml = require("lyaml")

local _M = {}

local loaded

--- The parsed config.yaml, without APISIX's defaults for keys that are absent.
function _M.local_conf()
    if not loaded then
        local file = assert(io.open(ngx.config.prefix() .. "config.yaml", "r"))
        loaded = lyaml.load(file:read("*a"))
        file:close()
    end
    return loaded
end

return _M
