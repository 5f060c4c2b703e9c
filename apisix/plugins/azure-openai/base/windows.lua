--- Counts in windows of time. A window starts with its first use and ends together with its count. Workers share the
--- counts; replicas too, when Redis is configured.
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local ipairs = ipairs

local dict = ngx.shared["azure-openai-limits"]

local _M = {}

--- Adds to a window's count. Not in phases that cannot talk to Redis: see `add_later`.
-- @param name string
-- @param amount number 0 to read the count only
-- @param seconds number how long a window lasts
-- @return number the count
-- @return number seconds until the window ends
function _M.add(name, amount, seconds)
    local shared, remaining_ms = shared_state.count("limit:" .. name, amount, seconds * 1000)
    if shared then
        return shared, remaining_ms / 1000
    end
    local value = dict:incr(name, amount, 0, seconds)
    return value, dict:ttl(name) or seconds
end

local function add_to_all(premature, list)
    if premature then
        return
    end
    for _, window in ipairs(list) do
        _M.add(window.name, window.amount, window.seconds)
    end
end

--- Adds to windows, in any phase.
-- @param list table of { name, amount, seconds }
function _M.add_later(list)
    if shared_state.is_configured() and #list > 0 then
        ngx.timer.at(0, add_to_all, list)
    else
        add_to_all(false, list)
    end
end

return _M
