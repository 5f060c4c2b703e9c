--- How much garbage gathers in a worker before LuaJIT cleans up.
--
-- Each cleaning looks at everything in use: some 15 MB of APISIX and its plugins, while a request leaves some 30 KB of
-- garbage. By default a worker cleans when its memory has doubled, and this look is a tenth of what a request costs.
-- Here a small worker waits for more garbage; a large one, which holds bodies, cleans as by default.
--
-- A cleaning is over within 25 ms, and for some 10 ms of them no request ends. Smaller steps ("setstepmul") would
-- shorten that, but each allocation is one step, however large it is: of large texts 250 MB gathered in a test.
local collectgarbage = collectgarbage
local getmetatable = getmetatable
local newproxy = newproxy
local math_floor = math.floor
local math_max = math.max

local GARBAGE_KIB = 32 * 1024
local LEAST_PERCENT = 200

local _M = {}

-- In per cent of what is in use at the end of a cleaning.
local function adjust()
    local used_kib = collectgarbage("count")
    local percent = math_floor(100 * (used_kib + GARBAGE_KIB) / used_kib)
    collectgarbage("setpause", math_max(LEAST_PERCENT, percent))
end

-- Nothing holds the proxy, so each cleaning finds it, and tells so at its end, before it decides when the next begins.
local function watch_cleaning()
    getmetatable(newproxy(true)).__gc = function()
        adjust()
        watch_cleaning()
    end
end

--- Begins to take care of it. Once in each worker.
function _M.watch()
    adjust()
    watch_cleaning()
end

return _M
