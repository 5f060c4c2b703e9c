--- Attributes of spans and resources, in the form of opentelemetry-lua.
local _M = {}

function _M.string(key, value)
    return { key = key, value = { string_value = value } }
end

function _M.int(key, value)
    return { key = key, value = { int_value = value } }
end

return _M
