--- String helpers without patterns.
local find = string.find
local sub = string.sub

local _M = {}

--- The position of `needle`, else nil.
function _M.find(haystack, needle)
    return find(haystack, needle, 1, true)
end

function _M.has_prefix(text, prefix)
    return sub(text, 1, #prefix) == prefix
end

function _M.has_suffix(text, suffix)
    return suffix == "" or sub(text, -#suffix) == suffix
end

return _M
