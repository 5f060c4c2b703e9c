--- How much garbage gathers in a worker before LuaJIT cleans up, and when it sweeps.
--
-- A cleaning looks at everything in use; then it sweeps: it goes through everything there is, and frees what is not in
-- use. Some 8 MB of APISIX and its plugins are in use, while a request leaves some 25 KB of garbage. By default a
-- cleaning begins when a worker's memory has doubled, and the look would be a tenth of what a request costs. Here a
-- small worker lets some 32 MB gather first.
--
-- By itself LuaJIT sweeps while something is allocated, a step for each KB, however few objects that makes: for some
-- hundred requests all take twice as long. Here its own steps rest, and a slice follows every few requests: as large as
-- what they allocated asks for, and large enough that the processor's caches hold what a slice works with. Where much
-- is allocated before a slice comes, LuaJIT goes on by itself.
local collectgarbage = collectgarbage
local getmetatable = getmetatable
local newproxy = newproxy
local setmetatable = setmetatable
local math_ceil = math.ceil
local math_max = math.max
local math_min = math.min

local GARBAGE_KIB = 32 * 1024
-- So much may be allocated until LuaJIT goes on by itself.
local REST_KIB = 8 * 1024
local REQUESTS_OF_A_SLICE = 8
-- A step sweeps 200 objects, so 13 for each KB; a request makes some 5.
local KIB_OF_A_STEP = 15
-- So far above the limit the sweep is twice as fast.
local EXCESS_KIB = 4 * 1024
local CATCH_UP_BYTES = 256 * 1024
-- What it takes to pass on a piece, whatever its size.
local BYTES_OF_A_PIECE = 1024

local _M = {}

-- The memory at which a cleaning begins.
local limit_kib = 0
-- While it sweeps: the memory when that began, what slices have freed, and the memory after the last one.
local is_sweeping, began_kib, freed_kib, seen_kib = false, 0, 0, 0
local requests, bytes_passed = 0, 0
local is_watched = false
-- Holds one table, until a look finds that nothing else holds it.
local looked_at = setmetatable({}, { __mode = "v" })

-- The pause is in per cent: of what is in use when a cleaning ends, or of all memory when LuaJIT rests.
local function set_pause(from_kib, to_kib)
    collectgarbage("setpause", math_ceil(100 * to_kib / from_kib))
end

local function end_cleaning()
    local kib = collectgarbage("count")
    -- Without what has come since the look.
    local used_kib = is_sweeping and math_min(kib, began_kib - freed_kib) or kib
    limit_kib = math_max(2 * used_kib, used_kib + GARBAGE_KIB)
    set_pause(used_kib, math_max(limit_kib, kib) + REST_KIB)
    is_sweeping = false
    looked_at[1] = {}
end

-- Nothing holds the proxy, so each cleaning finds it, and tells so at its end.
local function watch_cleaning()
    getmetatable(newproxy(true)).__gc = function()
        end_cleaning()
        watch_cleaning()
    end
end

-- Has LuaJIT rest from its own steps, until memory has grown by the pause: that is what the -1 asks for.
local function rest()
    collectgarbage("restart", -1)
end

local function sweep_by_slices()
    if not is_sweeping and #looked_at == 0 then
        began_kib = collectgarbage("count")
        is_sweeping, freed_kib, seen_kib = true, 0, began_kib
        set_pause(began_kib, began_kib + REST_KIB)
        rest()
    end
end

-- A slice, or the beginning of a cleaning.
local function go_on()
    local kib = collectgarbage("count")
    if not is_sweeping then
        if kib > limit_kib then
            collectgarbage("step", 1)
        end
        return
    end
    local excess_kib = math_max(0, kib - limit_kib)
    local steps = (kib - seen_kib) / KIB_OF_A_STEP * (1 + excess_kib / EXCESS_KIB)
    collectgarbage("step", math_max(1, steps))
    seen_kib = collectgarbage("count")
    freed_kib = freed_kib + kib - seen_kib
    -- Unless that was the end: after a step LuaJIT goes on by itself.
    if is_sweeping then
        rest()
    end
end

--- To be called at the beginning of each request: many may begin before one ends.
_M.request_begins = sweep_by_slices

--- To be called at the end of each request.
function _M.request_ends()
    sweep_by_slices()
    requests = requests + 1
    if requests >= REQUESTS_OF_A_SLICE then
        requests = 0
        go_on()
    end
end

--- Has a cleaning that is under way catch up with the pieces of a body or stream that come: to be called for each, of
--- whatever size. By itself it does one step for each allocation, however large that is.
-- @param bytes number
function _M.catch_up(bytes)
    bytes_passed = bytes_passed + BYTES_OF_A_PIECE + bytes
    if bytes_passed < CATCH_UP_BYTES then
        return
    end
    sweep_by_slices()
    if is_sweeping then
        go_on()
    elseif collectgarbage("count") > limit_kib then
        collectgarbage("step", bytes_passed / 1024)
    end
    bytes_passed = 0
end

--- Begins to take care of it. APISIX calls plugins anew when it loads them anew.
function _M.watch()
    if not is_watched then
        is_watched = true
        end_cleaning()
        watch_cleaning()
    end
end

return _M
