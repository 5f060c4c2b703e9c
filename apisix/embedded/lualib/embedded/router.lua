--- Finds the route of a request: an exact uri before prefixes, the longest prefix first. Among the routes of one uri
-- the highest priority wins, then the first one in the file.
local conditions = require("embedded.conditions")

local ipairs = ipairs
local sort = table.sort
local sub = string.sub

local _M = {}
local mt = { __index = _M }

local function bucket(paths, path)
    paths[path] = paths[path] or {}
    return paths[path]
end

local function by_priority(a, b)
    if a.priority ~= b.priority then
        return a.priority > b.priority
    end
    return a.order < b.order
end

local function entry_of(route, order)
    local value = route.value
    local entry = { route = route, order = order, priority = value.priority or 0 }
    if value.methods then
        entry.methods = {}
        for _, method in ipairs(value.methods) do
            entry.methods[method] = true
        end
    end
    entry.holds = conditions.compile(value.vars or {})
    return entry
end

--- What this router cannot do of a route, or nil.
function _M.problem(value)
    if not value.uri then
        return "uri is missing"
    elseif value.uri:gsub("%*$", ""):find("[*:]") then
        return "uri " .. value.uri .. " is not offered (exact uris and prefix/* only)"
    end
    local _, err = conditions.compile(value.vars or {})
    return err and "vars: " .. err
end

--- Builds a router over routes ({ value = … } each) without problems.
function _M.new(routes)
    local self = { exact = {}, prefixes = {} }
    local by_prefix = {}
    for order, route in ipairs(routes) do
        local uri, entry = route.value.uri, entry_of(route, order)
        if sub(uri, -1) == "*" then
            table.insert(bucket(by_prefix, sub(uri, 1, -2)), entry)
        else
            table.insert(bucket(self.exact, uri), entry)
        end
    end
    for _, entries in pairs(self.exact) do
        sort(entries, by_priority)
    end
    for prefix, entries in pairs(by_prefix) do
        sort(entries, by_priority)
        table.insert(self.prefixes, { prefix = prefix, entries = entries })
    end
    sort(self.prefixes, function(a, b)
        return #a.prefix > #b.prefix
    end)
    return setmetatable(self, mt)
end

local function first_match(entries, method, vars)
    for _, entry in ipairs(entries or {}) do
        if (not entry.methods or entry.methods[method]) and entry.holds(vars) then
            return entry
        end
    end
    return nil
end

--- The route of a request, or nil.
function _M:match(uri, method, vars)
    local entry = first_match(self.exact[uri], method, vars)
    for i = 1, entry and 0 or #self.prefixes do
        local candidate = self.prefixes[i]
        if sub(uri, 1, #candidate.prefix) == candidate.prefix then
            entry = first_match(candidate.entries, method, vars)
            if entry then
                break
            end
        end
    end
    return entry and entry.route
end

return _M
