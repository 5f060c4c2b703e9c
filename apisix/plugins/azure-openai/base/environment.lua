--- The environment of the process. Read it when a module loads: nginx hands it to the master process only.
local os_getenv = os.getenv

local _M = {}

--- The value of a variable; nil when it is not set, or empty. `nginx_config.envs` in config.yaml lets it through.
function _M.get(name)
    local value = os_getenv(name)
    return value ~= "" and value or nil
end

return _M
