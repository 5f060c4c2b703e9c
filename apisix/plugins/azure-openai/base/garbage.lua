--- How much garbage gathers in a worker before LuaJIT cleans up, and in how small steps it does.
--
-- Each cleaning looks at everything in use: some 8 MB of APISIX and its plugins, while a request leaves some 25 KB of
-- garbage. By default a worker cleans when its memory has doubled, and this look is a tenth of what a request costs.
-- Here a small worker lets some 32 MB gather; a large one, which holds bodies, cleans as by default.
--
-- By default a cleaning does two bytes of work for each byte that is allocated: 25 ms of work between few requests, and
-- all others wait. Here a small worker has four times as many requests share it, so it cleans most of the time. More
-- would share it still better, but each would then be slower: what is in use changes while it is looked at, and some of
-- it is looked at again.
local collectgarbage = collectgarbage
local getmetatable = getmetatable
local newproxy = newproxy
local math_floor = math.floor
local math_huge = math.huge
local math_max = math.max
local math_min = math.min

local GARBAGE_KIB = 32 * 1024
local LEAST_PERCENT = 200
-- What may gather while a cleaning looks at what is in use.
local MEANWHILE_KIB = 32 * 1024
local LEAST_WORK_PERCENT, MOST_WORK_PERCENT = 50, 200
local LARGE_BYTES = 1024
-- To ask how much memory there is takes as long as some reads.
local CATCH_UP_BYTES = 256 * 1024

local _M = {}

-- About how much memory there is when the next cleaning begins, and whether it is known to have begun.
local begins_kib, is_cleaning = math_huge, false
local large_bytes = 0

-- Both are in per cent: of what is in use at the end of a cleaning, and of what is allocated.
local function adjust()
    local used_kib = collectgarbage("count")
    local pause = math_max(LEAST_PERCENT, math_floor(100 * (used_kib + GARBAGE_KIB) / used_kib))
    local work = math_max(LEAST_WORK_PERCENT, math_floor(100 * used_kib / MEANWHILE_KIB))
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", math_min(MOST_WORK_PERCENT, work))
    begins_kib, is_cleaning = used_kib * pause / 100, false
end

-- Nothing holds the proxy, so each cleaning finds it, and tells so at its end, before it decides when the next begins.
local function watch_cleaning()
    getmetatable(newproxy(true)).__gc = function()
        adjust()
        watch_cleaning()
    end
end

--- Has a cleaning that is under way catch up with the texts that come: to be called for each, of whatever size. By
--- itself it does one step for each allocation, however large that is.
-- @param bytes number
function _M.catch_up(bytes)
    if bytes < LARGE_BYTES then
        return
    end
    large_bytes = large_bytes + bytes
    if large_bytes >= CATCH_UP_BYTES then
        -- Before its end there is less memory again than at its beginning.
        is_cleaning = is_cleaning or collectgarbage("count") > begins_kib
        if is_cleaning then
            collectgarbage("step", large_bytes / 1024)
        end
        large_bytes = 0
    end
end

--- Begins to take care of it. Once in each worker.
function _M.watch()
    adjust()
    watch_cleaning()
end

return _M
