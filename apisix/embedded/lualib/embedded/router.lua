--- Finds the route of a request: an exact uri before prefixes, the longest prefix first, and among
-- the routes of one uri the highest priority first, then the first one written.
local expr = require("resty.expr.v1")

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

local function entry_of(route, uri, order)
    local value = route.value
    local entry = { route = route, uri = uri, order = order, priority = value.priority or 0 }
    if value.methods and #value.methods > 0 then
        entry.methods = {}
        for _, method in ipairs(value.methods) do
            entry.methods[method] = true
        end
    end
    if value.vars and #value.vars > 0 then
        local err
        entry.vars, err = expr.new(value.vars)
        if not entry.vars then
            return nil, err
        end
    end
    return entry
end

--- What is wrong with a route's uris, methods or vars for this router, or nil.
function _M.problem(value)
    local uris = value.uris or { value.uri }
    if #uris == 0 then
        return "uri is missing"
    end
    for _, uri in ipairs(uris) do
        local path = uri:gsub("%*$", "")
        if path:find("[*:]") then
            return "uri " .. uri .. " is not offered (exact uris and prefix/* only)"
        end
    end
    local _, err = entry_of({ value = value }, "", 0)
    return err and "vars: " .. err
end

--- Builds a router over routes ({value = …} each) that have no problem.
function _M.new(routes)
    local self = { exact = {}, prefixes = {} }
    local by_prefix = {}
    for order, route in ipairs(routes) do
        for _, uri in ipairs(route.value.uris or { route.value.uri }) do
            local entry = entry_of(route, uri, order)
            if sub(uri, -1) == "*" then
                table.insert(bucket(by_prefix, sub(uri, 1, -2)), entry)
            else
                table.insert(bucket(self.exact, uri), entry)
            end
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
        if (not entry.methods or entry.methods[method]) and (not entry.vars or entry.vars:eval(vars)) then
            return entry
        end
    end
    return nil
end

--- The route of a request and the uri pattern that matched, or nil.
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
    if not entry then
        return nil
    end
    return entry.route, entry.uri
end

return _M
