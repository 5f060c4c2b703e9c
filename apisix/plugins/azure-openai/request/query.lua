--- Reads and changes single arguments of a raw request target; every other byte stays as the client wrote it.
local memo = require("apisix.plugins.azure-openai.base.memo")
local credentials = require("apisix.plugins.azure-openai.request.credentials")

local ngx = ngx
local string_find = string.find
local string_sub = string.sub
local table_concat = table.concat

local _M = {}

local function split(argument)
    local name, value = argument:match("^([^=]*)=(.*)$")
    return ngx.unescape_uri(name or argument):lower(), value or ""
end

local function arguments(target)
    local query = target:match("%?(.*)$")
    return ((query or "") .. "&"):gmatch("([^&]*)&")
end

-- Rebuilds a target from what `change(argument, name)` makes of each argument; nil drops it.
local function edit(target, change)
    local path, query = target:match("^([^?]*)%?(.*)$")
    if not query then
        return target
    end
    local kept = {}
    for argument in arguments(target) do
        kept[#kept + 1] = change(argument, (split(argument)))
    end
    return #kept > 0 and path .. "?" .. table_concat(kept, "&") or path
end

-- Of the raw name of an argument. Its value may be a key, which nothing shall remember.
local names_credential = memo.of(function(raw_name)
    return credentials.is_credential(ngx.unescape_uri(raw_name):lower())
end)

local function has_credentials(target)
    local from = string_find(target, "?", 1, true)
    while from do
        local stop = string_find(target, "&", from + 1, true)
        local equals = string_find(target, "=", from + 1, true)
        local name_end = equals and (not stop or equals < stop) and equals or stop or #target + 1
        if names_credential(string_sub(target, from + 1, name_end - 1)) then
            return true
        end
        from = stop
    end
    return false
end

local function unless_credential(argument, name)
    return not credentials.is_credential(name) and argument or nil
end

--- The values of an argument: ("/x?a=1&A=2%2F", "a") -> { "1", "2/" }.
-- @param target string path and query
-- @param name string in lower case; the target's spelling does not matter
-- @return table list of decoded strings
function _M.values(target, name)
    local values = {}
    for argument in arguments(target) do
        local found, value = split(argument)
        if found == name then
            values[#values + 1] = ngx.unescape_uri(value)
        end
    end
    return values
end

--- The values of all arguments that are named like an id: "?thread_id=thread_1&limit=2" -> { "thread_1" }.
-- @param target string path and query
-- @return table list of decoded strings
function _M.ids(target)
    local values = {}
    for argument in arguments(target) do
        local name, value = split(argument)
        if name:find("ids?$") or name:find("ids?%[%d*%]$") then
            values[#values + 1] = ngx.unescape_uri(value)
        end
    end
    return values
end

--- The target with another value of an argument that it has: ("/x?a=1&b=2", "a", "3") -> "/x?a=3&b=2".
function _M.replace(target, name, value)
    return edit(target, function(argument, found)
        if found == name then
            return argument:match("^[^=]*") .. "=" .. ngx.escape_uri(value)
        end
        return argument
    end)
end

--- The target with a value of an argument, added when it is not there: ("/x?a=1", "b", "2") -> "/x?a=1&b=2".
function _M.set(target, name, value)
    if #_M.values(target, name) > 0 then
        return _M.replace(target, name, value)
    end
    return target .. (target:find("?", 1, true) and "&" or "?") .. name .. "=" .. ngx.escape_uri(value)
end

--- The target without an argument: ("/x?a=1&B=2", "b") -> "/x?a=1".
-- @param name string in lower case; the target's spelling does not matter
function _M.without(target, name)
    return edit(target, function(argument, found)
        return found ~= name and argument or nil
    end)
end

--- The target without credentials: "/x?a=1&API%2DKey=K" -> "/x?a=1".
function _M.without_credentials(target)
    return has_credentials(target) and edit(target, unless_credential) or target
end

return _M
