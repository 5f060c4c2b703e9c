--- Counts what requests do, in a worker that compiles nothing: so the counts are the same in every run.
-- `work.py` puts this file before everything else that an engine's nginx loads.
local collectgarbage = collectgarbage
local debug_sethook = debug.sethook
local getmetatable = getmetatable
local jit = require("jit")
local next = next
local ngx = ngx
local pairs = pairs
local require = require

local _M = {}

local DICT_METHODS = {
    "get",
    "get_stale",
    "set",
    "safe_set",
    "add",
    "safe_add",
    "replace",
    "delete",
    "incr",
    "lpush",
    "lpop",
    "rpush",
    "rpop",
    "llen",
    "ttl",
    "expire",
}
local SOCKET_METHODS = {
    connect = "connects",
    send = "sends",
    receive = "reads",
    receiveany = "reads",
}
-- The hook is called once for so many instructions of the virtual machine.
local STEP = 10

local get_phase = ngx.get_phase
local counts = {}
local is_counting = false
local kib_before

-- Timers are not the work of a request.
local function count(what)
    if is_counting and get_phase() ~= "timer" then
        counts[what] = (counts[what] or 0) + 1
    end
end

local function wrap(holder, name, what)
    local original = holder[name]
    if original then
        holder[name] = function(...)
            count(what)
            return original(...)
        end
    end
end

local function wrap_dicts()
    local _, dict = next(ngx.shared)
    local methods = getmetatable(dict).__index
    for _, name in pairs(DICT_METHODS) do
        wrap(methods, name, "dictionary")
    end
end

-- All TCP cosockets share one table of methods, which the first of them shows.
local function wrap_sockets()
    local tcp, wrapped = ngx.socket.tcp, false
    ngx.socket.tcp = function(...) -- luacheck: ignore 122
        local sock, err = tcp(...)
        if sock and not wrapped then
            wrapped = true
            local methods = getmetatable(sock).__index
            for name, kind in pairs(SOCKET_METHODS) do
                wrap(methods, name, kind)
            end
        end
        return sock, err
    end
end

local function step()
    counts.instructions = counts.instructions + STEP
end

--- Begins to count, from nothing.
function _M.begin()
    counts = { instructions = 0 }
    collectgarbage()
    collectgarbage("stop")
    kib_before = collectgarbage("count")
    is_counting = true
    debug_sethook(step, "", STEP)
end

--- Ends it.
-- @return string a line for each count
function _M.finish()
    debug_sethook()
    is_counting = false
    counts.kib = collectgarbage("count") - kib_before
    collectgarbage("restart")
    local lines = {}
    for what, number in pairs(counts) do
        lines[#lines + 1] = what .. " " .. number .. "\n"
    end
    return table.concat(lines)
end

--- The versions of what runs the Lua.
function _M.runtime()
    return jit.version
        .. ", ngx_lua "
        .. ngx.config.ngx_lua_version
        .. ", resty.core "
        .. require("resty.core").version
end

jit.off()
wrap_dicts()
wrap_sockets()
wrap(ngx, "print", "prints")
wrap(ngx, "flush", "flushes")

return _M
