--- What is known of each stored resource: the backend that holds it and the client that made it.
--
-- One record per id, in the memory of this replica and, when it is configured, in Redis. A record with an owner is the
-- truth; one without says only where the resource is. Each kind of key has a name space of its own, so no id that a
-- client sends can meet the key of another kind.
local core = require("apisix.core")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local ipairs = ipairs
local tonumber = tonumber
local math_floor = math.floor
local math_min = math.min

local dict = ngx.shared["azure-openai-ownership"]

-- In memory and in Redis.
local RECORD, SHARED_RECORD = "owner|", "owner:"

-- As long as any record is kept (request/collections.lua).
local MOST_SECONDS = 365 * 86400

--- What is known of one resource.
---@class ResourceRecord
---@field backend string name of the backend that holds it
---@field owner string|nil who made it, as routing/ownership.lua names clients; nil when nobody knows
---@field expires_at number seconds since the epoch

-- One warning for each worker is enough.
local has_warned = false

local _M = {}

-- { backend = "eastus", owner = "client/a", expires_at = 1700000000 } <-> "1700000000|eastus|client/a"
local function encode(record)
    return record.expires_at .. "|" .. record.backend .. "|" .. (record.owner or "")
end

local function decode(text)
    local expires_at, backend, owner = tostring(text):match("^(%d+)|([^|]+)|(.*)$")
    if not backend then
        return nil
    end
    return { expires_at = tonumber(expires_at), backend = backend, owner = owner ~= "" and owner or nil }
end

local function remember(id, record)
    -- Never longer than any record, whatever Redis or the clock says.
    local seconds = math_min(record.expires_at - ngx.time(), MOST_SECONDS)
    if seconds > 0 then
        dict:set(RECORD .. id, encode(record), seconds)
    end
end

local function known_here(id)
    local text = dict:get(RECORD .. id)
    return text and decode(text)
end

-- Adds the records that Redis has to those that were found here. Returns whether Redis could say.
local function add_shared(found, ids, missing)
    local keys = {}
    for position, index in ipairs(missing) do
        keys[position] = SHARED_RECORD .. ids[index]
    end
    local texts = shared_state.get_all(keys)
    for position, index in ipairs(missing) do
        local record = texts and decode(texts[position])
        if record then
            remember(ids[index], record)
            found[index] = record
        end
    end
    return texts ~= nil
end

--- Looks ids up.
--
--     find({ "resp_1", "file-9" }) -> { [1] = { backend = "eastus", owner = "client/a", … } }, true
--
-- @param ids string[] plain ids
-- @return table<number, ResourceRecord> by the index of the id; none where nothing is known
-- @return boolean whether that is all that is known: false when Redis is configured and cannot say
function _M.find(ids)
    local found, missing = {}, {}
    for index, id in ipairs(ids) do
        found[index] = known_here(id)
        -- Another replica may know the owner.
        if not found[index] or not found[index].owner then
            missing[#missing + 1] = index
        end
    end
    if #missing == 0 or not shared_state.is_configured() then
        return found, true
    end
    return found, add_shared(found, ids, missing)
end

-- Writes a record unless the id has one of another owner. Answers with the record in force.
local WRITE_SCRIPT = [[
local held = redis.call('GET', KEYS[1])
local owner = held and string.match(held, '^%d+|[^|]+|(.+)$')
if owner and owner ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return ARGV[2]
]]

local function write_shared(id, record, seconds)
    local text =
        shared_state.eval(WRITE_SCRIPT, SHARED_RECORD .. id, record.owner or "", encode(record), seconds)
    local in_force = text and decode(text)
    if in_force and in_force.owner ~= record.owner then
        remember(id, in_force)
    end
end

local function write_later(premature, id, record, seconds)
    if not premature then
        write_shared(id, record, seconds)
    end
end

-- Writes a record here, unless the id has one of another owner. Returns whether it did.
local function write_here(id, record, seconds)
    -- One worker at a time can add; only a record that says less, or the same owner's, is replaced.
    local is_new, _, is_full = dict:add(RECORD .. id, encode(record), seconds)
    if is_full and not has_warned then
        has_warned = true
        core.log.warn("azure-openai: the memory for stored resources is full: the oldest are forgotten")
    end
    if is_new then
        return true
    end
    local held = known_here(id)
    if held and held.owner and held.owner ~= record.owner then
        return false
    end
    remember(id, record)
    return true
end

--- Notes who has made a resource. Returns when Redis knows it, too: the client can use it over any replica as soon as
--- it has the answer.
-- @param id string plain id
-- @param backend string name
-- @param owner string|nil
-- @param seconds number how long to remember it
function _M.claim(id, backend, owner, seconds)
    local record = { backend = backend, owner = owner, expires_at = math_floor(ngx.time() + seconds) }
    if write_here(id, record, seconds) and shared_state.is_configured() then
        write_shared(id, record, seconds)
    end
end

--- Notes where a resource is. Whose it is stays as it was.
-- @param id string plain id
-- @param known ResourceRecord|nil what `find` has found
function _M.place(id, known, backend, seconds)
    local owner = known and known.owner
    local record = { backend = backend, owner = owner, expires_at = math_floor(ngx.time() + seconds) }
    if write_here(id, record, seconds) and shared_state.is_configured() then
        ngx.timer.at(0, write_later, id, record, seconds)
    end
end

--- The resource is no more.
-- @param id string plain id
function _M.forget(id)
    dict:delete(RECORD .. id)
    shared_state.delete_later(SHARED_RECORD .. id)
end

return _M
