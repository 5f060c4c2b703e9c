--- Text that a backend or a client may have made of any bytes, as it may stand in JSON.
local memo = require("apisix.plugins.azure-openai.base.memo")

local _M = {}

local escaped = memo.of(function(text)
    return (text:gsub("[\128-\255]", function(byte)
        return ("%%%02X"):format(byte:byte())
    end))
end)

--- Escapes every byte that is not ASCII: "caf\xE9" -> "caf%E9".
-- @param text string|nil
-- @return string|nil
function _M.ascii(text)
    return text and escaped(text)
end

return _M
