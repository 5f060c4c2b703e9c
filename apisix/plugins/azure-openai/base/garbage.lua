--- How much garbage gathers in a worker before LuaJIT cleans up.
--
-- Each cleaning looks at everything in use: some 15 MB of APISIX and its plugins, while a request leaves some 30 KB of
-- garbage. By default a worker cleans when its memory has doubled, and this look is a tenth of what a request costs.
-- Here a small worker waits for more garbage; a large one, which holds bodies, cleans as by default.
local ngx = ngx
local collectgarbage = collectgarbage
local math_floor = math.floor
local math_max = math.max
local math_min = math.min

local GARBAGE_KIB = 32 * 1024
local LEAST_PERCENT = 200
local EVERY_SECONDS = 1
-- What is in use cannot be read, only what is there: the garbage with it. The least of late is close to it.
local GROWTH = 1.2

local _M = {}

local used_kib

--- Takes a look at the memory.
-- @param kib number all that is there
-- @return number when to clean next, in per cent of what is in use at the end of a cleaning
-- @return boolean whether to clean now: far more is there than in the last seconds, so the per cent were too many
function _M.judge(kib)
    used_kib = math_min(kib, (used_kib or kib) * GROWTH)
    local percent = math_max(LEAST_PERCENT, math_floor(100 * (used_kib + GARBAGE_KIB) / used_kib))
    return percent, kib > 2 * (used_kib + GARBAGE_KIB)
end

local function adjust()
    local percent, is_too_much = _M.judge(collectgarbage("count"))
    collectgarbage("setpause", percent)
    if is_too_much then
        collectgarbage("step", 0)
    end
end

--- Begins to take care of it. Once in each worker.
function _M.watch()
    adjust()
    ngx.timer.every(EVERY_SECONDS, adjust)
end

return _M
