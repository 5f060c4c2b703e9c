--- Names of deployments and models as labels of metrics: only real ones, and few.
--
-- A configured name is always a label. Any other name becomes one after a success, because clients can invent names.
-- Names that differ in case only share a label: a backend may take each spelling. Each worker learns for itself.
local memo = require("apisix.plugins.azure-openai.base.memo")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")

local ngx = ngx
local pairs = pairs
local ipairs = ipairs
local setmetatable = setmetatable

local MOST_LEARNED = 200
-- A learned name gives way to another once it was not used for so long. Sooner, rotating names would make new series
-- without end.
local IDLE_SECONDS = 86400
local NAME = "^%w[%w._:/@+-]*$"
local OTHER = "other"

local lower = memo.of(string.lower)

local labels = {}
local labels_mt = { __index = labels }

-- Makes the set of labels of one kind. `configured_in(pool, add)` calls `add` with each configured name.
local function new(configured_in)
    return setmetatable({ configured_in = configured_in, learned = {}, count = 0 }, labels_mt)
end

local function configure(self, pool)
    self.pool, self.configured = pool, {}
    self.configured_in(pool, function(name)
        self.configured[lower(name)] = name
    end)
end

function labels:configured_name(key)
    local pool = pool_module.current()
    if pool and pool ~= self.pool then
        configure(self, pool)
    end
    return self.configured and self.configured[key]
end

function labels:known_name(name)
    local key = lower(name)
    local configured = self:configured_name(key)
    if configured then
        return configured
    end
    local entry = self.learned[key]
    if entry then
        entry.used_at = ngx.time()
    end
    return entry and entry.name
end

--- The label of a name: the name itself when it is known, else "other".
-- @param name string a deployment's or model's; "" and the kinds of stored resources ("/files") are labels themselves
-- @return string
function labels:of(name)
    if name == "" or name:byte(1) == 47 then
        return name
    end
    return self:known_name(name) or OTHER
end

-- Makes room for one more name. Returns whether there is room.
local function make_room(self)
    if self.count < MOST_LEARNED then
        self.count = self.count + 1
        return true
    end
    local oldest
    for key, entry in pairs(self.learned) do
        if not oldest or entry.used_at < self.learned[oldest].used_at then
            oldest = key
        end
    end
    if self.learned[oldest].used_at > ngx.time() - IDLE_SECONDS then
        return false
    end
    self.learned[oldest] = nil
    return true
end

--- Learns the name of what has just served a request.
-- @param name string
-- @return boolean whether it is a new label
function labels:learn(name)
    if self:known_name(name) or not name:find(NAME) or not make_room(self) then
        return false
    end
    self.learned[lower(name)] = { name = name, used_at = ngx.time() }
    return true
end

local _M = {
    --- Stands for all deployments of a backend.
    EVERY = "*",
    --- Failures that concern all deployments of a backend. Each has one series, not one for each deployment.
    REASONS_OF_BACKENDS = {
        "connect",
        "dns",
        "tls",
        "identity",
        "credential",
        "forbidden",
        "redirect",
        "no_socket",
    },
}

local IS_OF_BACKEND = {}
for _, reason in ipairs(_M.REASONS_OF_BACKENDS) do
    IS_OF_BACKEND[reason] = true
end

--- Labels of deployments: as clients call them and as backends do.
_M.deployments = new(function(pool, add)
    for _, backend in ipairs(pool.backends) do
        for name, own_name in pairs(backend.deployments or {}) do
            add(own_name)
            add(name)
        end
    end
end)

--- Labels of models.
_M.models = new(function(pool, add)
    for model in pairs(pool.pricing or {}) do
        add(model)
    end
end)

--- The deployment's label of a failed attempt.
-- @param deployment string the label of the request's deployment
-- @param reason string
-- @return string
function _M.of_failure(deployment, reason)
    return IS_OF_BACKEND[reason] and _M.EVERY or deployment
end

--- The labels that requests for deployments can have now: the configured names of clients, what this worker has
--- learned, and "other".
-- @param pool Pool
-- @return string[]
function _M.client_deployments(pool)
    local list, is_listed = { OTHER }, {}
    local function add(name)
        local label = _M.deployments:of(name)
        list[#list + 1] = not is_listed[label] and label or nil
        is_listed[label] = true
    end
    for _, backend in ipairs(pool.backends) do
        for name in pairs(backend.deployments or {}) do
            add(name)
        end
    end
    for _, entry in pairs(_M.deployments.learned) do
        add(entry.name)
    end
    return list
end

return _M
