--- Weighted rendezvous hashing: a key always meets the same backend. When that backend is away, only its keys move.
local bit = require("bit")

local ngx_crc32 = ngx.crc32_long
local ipairs = ipairs
local math_log = math.log
local band, bxor, lshift, rshift, tobit = bit.band, bit.bxor, bit.lshift, bit.rshift, bit.tobit

local _M = {}

-- The lower 32 bits of a product.
local function multiply(a, b)
    return tobit(band(a, 0xffff) * b + lshift(band(rshift(a, 16) * b, 0xffff), 16))
end

-- Checksums of similar texts are similar. This makes each bit depend on all (the finalizer of MurmurHash3).
local function mixed(number)
    number = multiply(bxor(number, rshift(number, 16)), 0x85ebca6b)
    number = multiply(bxor(number, rshift(number, 13)), 0xc2b2ae35)
    return bxor(number, rshift(number, 16))
end

--- How well a key and a backend match; the highest score wins.
-- @param key number 32 bits
-- @param backend Backend with a weight above 0
-- @return number
function _M.score(key, backend)
    local uniform = (mixed(bxor(key, ngx_crc32(backend.name))) % 4294967296 + 1) / 4294967297
    return -backend.weight / math_log(uniform)
end

--- The backend that a key meets.
-- @param key number 32 bits
-- @param backends Backend[] at least one
-- @return Backend
function _M.best(key, backends)
    local highest, chosen
    for _, backend in ipairs(backends) do
        local score = _M.score(key, backend)
        if not chosen or score > highest then
            highest, chosen = score, backend
        end
    end
    return chosen
end

return _M
