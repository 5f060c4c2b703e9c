--- A function for each level over ngx.log; a level that is switched off costs one call.
local errlog = require("ngx.errlog")

local ngx_log = ngx.log
local get_phase = ngx.get_phase

local LEVELS = { error = ngx.ERR, warn = ngx.WARN, notice = ngx.NOTICE }

local function nothing() end

local function logger(level)
    return function(...)
        return ngx_log(level, ...)
    end
end

local function method_of(self, name)
    local level = LEVELS[name]
    if not level then
        return nil
    end
    -- The configured level is known only in the workers.
    if get_phase() == "init" then
        return logger(level)
    end
    local method = level > errlog.get_sys_filter_level() and nothing or logger(level)
    rawset(self, name, method)
    return method
end

return setmetatable({}, { __index = method_of })
