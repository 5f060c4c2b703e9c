--- Rests of a pair for large requests alone. Each holds from a size on, for a time of its own, and takes nothing from
--- smaller requests.
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local rests = require("apisix.plugins.azure-openai.routing.rests")

local ngx_now = ngx.now
local ipairs = ipairs
local tonumber = tonumber
local table_concat = table.concat
local table_sort = table.sort

-- Of more, those of the largest requests are forgotten, which costs one more attempt each.
local MOST = 8

local _M = {}

-- "5000@1700000030.5 20000@1700000060" -> { { from = 5000, ends_at = 1700000030.5 }, ... } without those that are over.
local function read(backend, deployment)
    local list = {}
    if rests.left("large", backend, deployment) == 0 then
        return list
    end
    local text, now = memory.get("large-from", backend, deployment) or "", ngx_now()
    for from, ends_at in text:gmatch("([%d.]+)@([%d.]+)") do
        from, ends_at = tonumber(from), tonumber(ends_at)
        if ends_at > now then
            list[#list + 1] = { from = from, ends_at = ends_at }
        end
    end
    return list
end

--- How long the pair takes no request of a size, although it may take smaller ones.
-- @param size number
-- @return number seconds, 0 when it takes one
function _M.left(backend, deployment, size)
    local ends_at = ngx_now()
    for _, rest in ipairs(read(backend, deployment)) do
        if size >= rest.from and rest.ends_at > ends_at then
            ends_at = rest.ends_at
        end
    end
    return ends_at - ngx_now()
end

--- Starts a rest beside those that are there.
-- @param seconds number
-- @param from number the smallest size for which it holds
function _M.start(backend, deployment, seconds, from)
    local list = read(backend, deployment)
    list[#list + 1] = { from = from, ends_at = ngx_now() + seconds }
    table_sort(list, function(a, b)
        return a.from < b.from or (a.from == b.from and a.ends_at > b.ends_at)
    end)
    local parts, ends_at = {}, 0
    for _, rest in ipairs(list) do
        -- One that ends before the rest of smaller requests adds nothing to it.
        if rest.ends_at > ends_at and #parts < MOST then
            ends_at = rest.ends_at
            parts[#parts + 1] = ("%.1f@%.3f"):format(rest.from, ends_at)
        end
    end
    local kept_seconds = ends_at - ngx_now()
    rests.start("large", backend, deployment, kept_seconds, 0, 0)
    memory.set("large-from", backend, deployment, table_concat(parts, " "), kept_seconds)
end

return _M
