--- Locks between workers, kept in a shared dictionary, with the interface of lua-resty-lock.
local ngx = ngx
local setmetatable = setmetatable

local _M = {}
local mt = { __index = _M }

--- A lock over the dictionary `dict_name`.
-- @param opts exptime, timeout, step, max_step in seconds; ratio is the growth of step
function _M:new(dict_name, opts) -- luacheck: ignore 212
    local dict = ngx.shared[dict_name]
    if not dict then
        return nil, "dictionary not found"
    end
    opts = opts or {}
    local timeout = opts.timeout or 5
    return setmetatable({
        dict = dict,
        exptime = opts.exptime or 30,
        timeout = timeout,
        step = opts.step or 0.001,
        ratio = opts.ratio or 2,
        max_step = opts.max_step or 0.5,
    }, mt)
end

--- Waits for the lock of `key`.
-- @return seconds waited, or nil and an error ("timeout", "locked")
function _M:lock(key)
    if self.key then
        return nil, "locked"
    end
    local step, elapsed = self.step, 0
    while true do
        local ok, err = self.dict:add(key, true, self.exptime)
        if ok then
            self.key = key
            return elapsed
        elseif err ~= "exists" then
            return nil, err
        elseif elapsed >= self.timeout then
            return nil, "timeout"
        end
        step = math.min(step, self.timeout - elapsed, self.max_step)
        ngx.sleep(step)
        elapsed = elapsed + step
        step = step * self.ratio
    end
end

--- Gives the lock back; returns 1, or nil and an error.
function _M:unlock()
    if not self.key then
        return nil, "unlocked"
    end
    self.dict:delete(self.key)
    self.key = nil
    return 1
end

--- Gives the lock another `timeout` seconds (its own expiry time by default).
function _M:expire(timeout)
    if not self.key then
        return nil, "unlocked"
    end
    return self.dict:expire(self.key, timeout or self.exptime)
end

return _M
