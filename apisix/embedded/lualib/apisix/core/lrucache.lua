--- Versioned caches: an entry is valid while its version is the one asked for.
local lru_new = require("resty.lrucache").new

local _M = {}

--- A function (key, version, create, ...) that returns the cached object, or creates it.
-- Like APISIX, an entry that has expired but still has the version asked for stays in use,
-- unless `opts.invalid_stale` says otherwise. Objects that could not be created are not kept.
function _M.new(opts)
    opts = opts or {}
    local of_plugin = opts.type == "plugin"
    local count = opts.count or (of_plugin and 8 or 1024)
    local ttl = opts.ttl or (of_plugin and 300 or 3600)
    local cache = assert(lru_new(count))

    return function(key, version, create, ...)
        local entry, stale = cache:get(key)
        if entry and entry.version == version then
            return entry.value
        end
        if stale and stale.version == version and not opts.invalid_stale then
            cache:set(key, stale, ttl)
            return stale.value
        end
        local value, err = create(...)
        if value ~= nil then
            cache:set(key, { value = value, version = version }, ttl)
        end
        return value, err
    end
end

_M.global = _M.new()

local function key_of(ctx, extra)
    local key = ctx.conf_type .. "#" .. ctx.conf_id
    return extra and key .. "#" .. extra or key
end

--- Caches per configured plugin block of the matched route.
function _M.plugin_ctx(cache, ctx, extra, create, ...)
    return cache(key_of(ctx, extra), ctx.conf_version, create, ...)
end

function _M.plugin_ctx_id(ctx, extra)
    return key_of(ctx, extra) .. "#" .. ctx.conf_version
end

return _M
