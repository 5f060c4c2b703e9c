--- A metrics registry in a shared dictionary, with the part of nginx-lua-prometheus's interface that is used.
-- Every sample is one entry of the dictionary, so all workers add to the same numbers. Its key is
--   <metric> NUL <labels> NUL <part>
-- where the part of a histogram's sample is a bucket's number, "count" or "sum", and is empty otherwise. Each metric
-- has an entry as well, so that any worker can render what another one has registered.
local concat = table.concat
local ipairs = ipairs
local setmetatable = setmetatable
local tostring = tostring

local SEPARATOR = "\0"
local METRIC_PREFIX = "\1metric\0"

local function escape(value)
    return (tostring(value):gsub("\\", "\\\\"):gsub("\n", "\\n"):gsub('"', '\\"'))
end

local function label_text(names, values)
    local parts = {}
    for i, name in ipairs(names) do
        local value = values and values[i]
        parts[i] = name .. '="' .. escape(value == nil and "" or value) .. '"'
    end
    return concat(parts, ",")
end

-- What metrics add by. All workers see it at once, so there is nothing to write through.
local Counter = {}
Counter.__index = Counter

function Counter:incr(key, step)
    local _, err = self.dict:incr(key, step, 0)
    if err then
        ngx.log(ngx.ERR, "a metric cannot be updated: ", key, ": ", err)
    end
end

function Counter.sync() end

local Metric = {}
Metric.__index = Metric

function Metric:key(values, part)
    return concat({ self.name, label_text(self.labels, values), part or "" }, SEPARATOR)
end

function Metric:add(key, value)
    self._counter:incr(key, value)
end

--- Adds to a counter or gauge.
function Metric:inc(value, values)
    self:add(self:key(values), value)
end

--- Sets a gauge.
function Metric:set(value, values)
    self.dict:set(self:key(values), value)
end

--- Takes a series of a gauge away.
function Metric:del(values)
    self.dict:delete(self:key(values))
end

--- Adds an observation to a histogram.
function Metric:observe(value, values)
    for i, limit in ipairs(self.buckets) do
        if value <= limit then
            self:add(self:key(values, ("%03d"):format(i)), 1)
        end
    end
    self:add(self:key(values, "999"), 1)
    self:add(self:key(values, "count"), 1)
    self:add(self:key(values, "sum"), value)
end

local Registry = {}
Registry.__index = Registry

local function register(self, kind, name, help, labels, buckets)
    name = self.prefix .. name
    local limits = buckets and concat(buckets, " ") or ""
    self.dict:set(METRIC_PREFIX .. name, concat({ kind, limits, help }, SEPARATOR))
    return setmetatable({
        dict = self.dict,
        _counter = self._counter,
        name = name,
        labels = labels or {},
        buckets = buckets,
    }, Metric)
end

function Registry:counter(name, help, labels)
    return register(self, "counter", name, help, labels)
end

function Registry:gauge(name, help, labels)
    return register(self, "gauge", name, help, labels)
end

function Registry:histogram(name, help, labels, buckets)
    return register(self, "histogram", name, help, labels, buckets)
end

local function limits_of(text)
    local limits = {}
    for limit in text:gmatch("%S+") do
        limits[#limits + 1] = limit
    end
    return limits
end

-- One sample as a line of the text format.
local function line(name, labels, part, limits, value)
    local suffix = ""
    if part == "count" or part == "sum" then
        suffix = "_" .. part
    elseif part ~= "" then
        suffix = "_bucket"
        labels = labels .. (labels ~= "" and "," or "") .. 'le="' .. (limits[tonumber(part)] or "+Inf") .. '"'
    end
    local braces = labels ~= "" and "{" .. labels .. "}" or ""
    return name .. suffix .. braces .. " " .. tostring(value) .. "\n"
end

--- All metrics in the Prometheus text format, as a list of lines.
function Registry:metric_data()
    local keys = self.dict:get_keys(0)
    table.sort(keys)
    local lines, known, described = {}, {}, nil
    for _, key in ipairs(keys) do
        local text = self.dict:get(key)
        if key:sub(1, #METRIC_PREFIX) == METRIC_PREFIX then
            local kind, limits, help = text:match("^(%Z*)%z(%Z*)%z(.*)$")
            known[key:sub(#METRIC_PREFIX + 1)] = { kind = kind, limits = limits_of(limits), help = help }
        elseif text ~= nil then
            local name, labels, part = key:match("^(%Z*)%z(.*)%z(%Z*)$")
            local metric = known[name]
            if described ~= name then
                described = name
                lines[#lines + 1] = "# HELP " .. name .. " " .. metric.help .. "\n"
                lines[#lines + 1] = "# TYPE " .. name .. " " .. metric.kind .. "\n"
            end
            lines[#lines + 1] = line(name, labels, part, metric.limits, text)
        end
    end
    return lines
end

local _M = {}

--- A registry in the shared dictionary `dict_name`; every metric's name begins with `prefix`.
function _M.init(dict_name, prefix)
    local dict = assert(ngx.shared[dict_name])
    return setmetatable(
        { dict = dict, prefix = prefix, _counter = setmetatable({ dict = dict }, Counter) },
        Registry
    )
end

return _M
