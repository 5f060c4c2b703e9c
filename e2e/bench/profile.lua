--- Notes where the workers are, a thousand times a second of their own time, with LuaJIT's own profiler.
local profile = require("jit.profile")

local pairs = pairs
local table_concat = table.concat

local DEEPEST = 60
-- What runs besides Lua, by the letters of the profiler. Compiled and interpreted code is Lua's own.
local STATES = { C = "C code", G = "garbage collection", J = "compiler" }

local _M = {}

local counts = {}

local function note(thread, samples, state)
    local stack = profile.dumpstack(thread, "pF;", -DEEPEST) .. (STATES[state] or "")
    counts[stack] = (counts[stack] or 0) + samples
end

--- Begins to note. Whatever was compiled before is thrown away.
function _M.begin()
    profile.start("fi1", note)
end

--- Forgets what was noted.
function _M.clear()
    counts = {}
end

--- Ends it.
-- @return string a line for each stack: "frame;frame;state 12", from the outermost frame on, how often it was seen
function _M.finish()
    profile.stop()
    local lines = {}
    for stack, number in pairs(counts) do
        lines[#lines + 1] = stack .. " " .. number .. "\n"
    end
    return table_concat(lines)
end

return _M
