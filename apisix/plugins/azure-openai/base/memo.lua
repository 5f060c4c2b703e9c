--- Remembers what a pure function makes of a text: paths, names and values that are the same in most requests.
--
-- Lua's patterns are not compiled, and a request would run dozens of them. Clients and backends can invent texts, so a
-- memory is bounded: long texts are not kept, and all are forgotten when there are many.
local MOST_TEXTS = 512
local LONGEST_BYTES = 256

local _M = {}

--- Makes a function that answers from memory what `compute` would.
-- @param compute function(text) -> any value but nil; tables that it returns must not be changed
-- @return function(text) -> the same
function _M.of(compute)
    local kept, count = {}, 0
    return function(text)
        local value = kept[text]
        if value == nil then
            value = compute(text)
            if #text <= LONGEST_BYTES then
                if count == MOST_TEXTS then
                    kept, count = {}, 0
                end
                kept[text], count = value, count + 1
            end
        end
        return value
    end
end

return _M
