--- Notes which lines of the bundle run, for `make coverage`. A hook on every line needs the interpreter, so a worker
-- is many times slower.
local cjson = require("cjson")
local util = require("jit.util")

local _M = {}

local BUNDLE = "apisix/plugins/"
-- For each function the lines of its file that have run; false for files that are not the bundle's.
local of_function = setmetatable({}, { __mode = "k" })
local of_file = {}
local directory

local function name_of(source)
    local _, ends = source:find(BUNDLE, 1, true)
    -- The host's own modules lie below a directory of the same name.
    if not ends or source:find("/embedded/lualib/", 1, true) then
        return nil
    end
    return source:sub(ends + 1)
end

local function lines_of(func)
    local name = name_of(debug.getinfo(func, "S").source)
    if not name then
        return false
    end
    of_file[name] = of_file[name] or {}
    return of_file[name]
end

local function on_line(_, line)
    local func = debug.getinfo(2, "f").func
    local lines = of_function[func]
    if lines == nil then
        lines = lines_of(func)
        of_function[func] = lines
    end
    if lines then
        lines[line] = true
    end
end

-- The lines of a function and of those inside it that have code.
local function add_code(lines, proto)
    local info = util.funcinfo(proto)
    for pc = 1, info.bytecodes - 1 do
        lines[util.funcinfo(proto, pc).currentline] = true
    end
    local at = -1
    local constant = util.funck(proto, at)
    while constant ~= nil do
        if type(constant) == "proto" then
            add_code(lines, constant)
        end
        at = at - 1
        constant = util.funck(proto, at)
    end
end

local function sorted(lines)
    local list = {}
    for line in pairs(lines) do
        list[#list + 1] = line
    end
    table.sort(list)
    return list
end

local function write(name, content)
    local path = directory .. "/" .. name
    local file = assert(io.open(path .. ".new", "w"))
    file:write(cjson.encode(content))
    file:close()
    os.rename(path .. ".new", path)
end

--- Begins; `to` is the directory for the files of all workers.
function _M.start(to)
    directory = to
    require("jit").off()
    debug.sethook(on_line, "l")
end

--- Writes the lines that ran in this worker, with those that have code, by the names of files below apisix/plugins.
function _M.finish()
    debug.sethook()
    local found = {}
    for name, lines in pairs(of_file) do
        found[name] = sorted(lines)
    end
    write(("%d-%.0f.json"):format(ngx.worker.pid(), ngx.now() * 1000), found)
end

--- The lines of a file that have code.
function _M.code(path)
    local lines = {}
    add_code(lines, assert(loadfile(path)))
    return sorted(lines)
end

return _M
