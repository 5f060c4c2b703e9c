--- The local configuration: `config.yaml` of the instance directory.
local lyaml = require("lyaml")

local _M = { type = "yaml" }

local loaded

--- The parsed config.yaml, without APISIX's defaults for keys that are absent.
function _M.local_conf(force)
    if loaded and not force then
        return loaded
    end
    local file, err = io.open(ngx.config.prefix() .. "config.yaml", "r")
    if not file then
        return nil, err
    end
    local text = file:read("*a")
    file:close()
    local ok, conf = pcall(lyaml.load, text)
    if not ok then
        return nil, "config.yaml is not valid YAML"
    end
    loaded = conf
    return loaded
end

return _M
