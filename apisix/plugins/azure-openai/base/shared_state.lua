--- State that replicas share through Redis, when it is configured. Nothing waits long for Redis, and nothing fails
-- without it.
local core = require("apisix.core")
local bounded_line = require("apisix.plugins.azure-openai.base.bounded_line")
local redis = require("resty.redis")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local rawget = rawget
local select = select
local unpack = unpack
local tonumber = tonumber
local type = type
local math_max = math.max
local math_min = math.min

local TIMEOUT_MS = 100
-- After a failure Redis is left alone for a while, so an outage costs few requests a time-out.
local RETRY_AFTER_SECONDS = 2
local KEEPALIVE_MS = 60000
local CONNECTIONS = 64
-- A list that gets no new entries expires.
local LIST_SECONDS = 3600
-- More keys in one command would hold Redis up.
local MOST_KEYS = 1000
-- An answer is larger only when it is nonsense. Its client makes room for as many items as an answer announces.
local LARGEST_ANSWER_BYTES = 4 * 1024 * 1024
local LONGEST_LINE_BYTES = 4096
local ITEM_BYTES = 40
-- The largest integer that Lua can tell from the next.
local LARGEST_COUNT = 2 ^ 53
local PREFIX = "azure-openai-gateway:"

local _M = {}

local configured
local broken_until = 0

--- Sets the Redis to use from now on in this worker.
-- @param redis_conf table|nil { host, port, password, tls }; nil for none
function _M.use(redis_conf)
    configured = redis_conf
end

-- How many bytes a line of an answer announces, of a text or of the items of a list; nil when it announces no number.
local function announced_bytes(line)
    local kind, number = line:match("^([*$])(.*)$")
    if not kind then
        return 0
    end
    return number:find("^%-?%d+$") and tonumber(number) * (kind == "*" and ITEM_BYTES or 1)
end

-- Lets the client read one answer of bounded size. It asks for a line without saying so, and for `size` bytes.
local function bound(sock)
    local receive, left = sock.receive, LARGEST_ANSWER_BYTES
    function sock.receive(self, size)
        if size then
            return receive(self, size)
        end
        local line, err = bounded_line.read(self, LONGEST_LINE_BYTES)
        if not line then
            return nil, err
        end
        local bytes = announced_bytes(line)
        left = left - math_max(bytes or 0, 0)
        if not bytes or left < 0 then
            return nil, "that is no answer of Redis, or a very large one"
        end
        return line
    end
end

local function connect(conf)
    local client = redis:new()
    -- Not `set_timeouts`: older versions of the library would take it for a command of Redis.
    client:set_timeout(TIMEOUT_MS)
    local ok, err = client:connect(conf.host, conf.port, {
        ssl = conf.tls,
        ssl_verify = conf.tls,
        -- Without it only the chain of the certificate would be checked.
        server_name = conf.host,
    })
    if not ok then
        return nil, err
    end
    bound(rawget(client, "_sock"))
    if conf.password and client:get_reused_times() == 0 then
        ok, err = client:auth(conf.password)
        if not ok then
            client:close()
            return nil, err
        end
    end
    return client
end

local function fail(err)
    broken_until = ngx_now() + RETRY_AFTER_SECONDS
    core.log.warn("azure-openai: Redis is not usable, going on without it: ", err)
    return nil
end

-- Whether Redis is left alone. Not for longer than it should be, should the clock have been set back meanwhile.
local function is_broken()
    local seconds = broken_until - ngx_now()
    return seconds > 0 and seconds <= RETRY_AFTER_SECONDS
end

-- Lets `use(client)` ask Redis, in one round trip. Returns its result; nil when Redis cannot be asked.
local function ask(use)
    local conf = configured
    if not conf or is_broken() then
        return nil
    end

    local client, connect_err = connect(conf)
    if not client then
        return fail(connect_err)
    end
    local result, err = use(client)
    if err then
        client:close()
        return fail(err)
    end
    client:set_keepalive(KEEPALIVE_MS, CONNECTIONS)
    return result
end

-- Runs one command; nil when Redis cannot be asked or has no such key.
local function run(command, ...)
    local arguments, count = { ... }, select("#", ...)
    local result = ask(function(client)
        return client[command](client, unpack(arguments, 1, count))
    end)
    if result == ngx.null then
        return nil
    end
    return result
end

-- Checks that Redis has answered with a list. Any other answer counts as a failure of Redis.
local function list_from(command, result)
    if result ~= nil and type(result) ~= "table" then
        return fail("its answer to " .. command .. " is no list")
    end
    return result
end

local function list_of(command, ...)
    return list_from(command, run(command, ...))
end

--- Whether replicas share state at all.
-- @return boolean
function _M.is_configured()
    return configured ~= nil
end

-- Calls `use(first, last)` for runs of indices that are short enough for one command.
local function in_runs(count, use)
    for first = 1, count, MOST_KEYS do
        if not use(first, math_min(first + MOST_KEYS - 1, count)) then
            return false
        end
    end
    return true
end

--- Reads values.
-- @param keys string[]
-- @return table|nil their values under the same indices; nil when Redis cannot say
function _M.get_all(keys)
    local values = {}
    local is_read = in_runs(#keys, function(first, last)
        local names = {}
        for index = first, last do
            names[#names + 1] = PREFIX .. keys[index]
        end
        local list = list_of("mget", unpack(names))
        for index, value in ipairs(list or {}) do
            values[first + index - 1] = value
        end
        return list ~= nil
    end)
    return is_read and values or nil
end

--- Reads fields of a hash.
-- @param key string
-- @param fields string[]
-- @return table|nil their values under the same indices; nil when Redis cannot say
function _M.get_fields(key, fields)
    local values = {}
    local is_read = in_runs(#fields, function(first, last)
        local list = list_of("hmget", PREFIX .. key, unpack(fields, first, last))
        for index, value in ipairs(list or {}) do
            values[first + index - 1] = value
        end
        return list ~= nil
    end)
    return is_read and values or nil
end

local function set_fields(premature, key, entries, seconds)
    if premature then
        return
    end
    local is_written = in_runs(#entries, function(first, last)
        return run("hset", PREFIX .. key, unpack(entries, first, last)) ~= nil
    end)
    if is_written then
        run("expire", PREFIX .. key, seconds)
    end
end

--- Writes fields of a hash in the background.
-- @param key string
-- @param entries string[] field, value, field, value …
-- @param seconds number until the whole hash is forgotten
function _M.set_fields_later(key, entries, seconds)
    if _M.is_configured() and #entries > 0 then
        ngx.timer.at(0, set_fields, key, entries, seconds)
    end
end

--- Runs a script on one key, in one step.
-- @param script string
-- @return any what the script returns; nil when Redis cannot say
function _M.eval(script, key, ...)
    return run("eval", script, 1, PREFIX .. key, ...)
end

--- Runs a script on several keys, on each in one step, in one round trip for all.
-- @param script string
-- @param calls table[] list of { key, argument, argument … }; at most a thousand
-- @return table|nil what the script returns for each, under the same indices; nil when Redis cannot say
function _M.eval_each(script, calls)
    local results = ask(function(client)
        client:init_pipeline(#calls)
        for _, call in ipairs(calls) do
            client:eval(script, 1, PREFIX .. call[1], unpack(call, 2))
        end
        return client:commit_pipeline()
    end)
    return list_from("eval", results)
end

local function delete(premature, key)
    if not premature then
        run("del", PREFIX .. key)
    end
end

--- Deletes a value in the background.
function _M.delete_later(key)
    if _M.is_configured() then
        ngx.timer.at(0, delete, key)
    end
end

local function announce(premature, list, member, deadline)
    if not premature then
        run("zremrangebyscore", PREFIX .. list, "-inf", ngx_now())
        run("zadd", PREFIX .. list, ("%.3f"):format(deadline), member)
        run("expire", PREFIX .. list, LIST_SECONDS)
    end
end

--- Puts a member with a deadline on a list, in the background.
-- @param list string
-- @param member string
-- @param deadline number seconds since the epoch
function _M.announce_later(list, member, deadline)
    if _M.is_configured() then
        ngx.timer.at(0, announce, list, member, deadline)
    end
end

--- The members of a list whose deadline has not passed.
-- @param list string
-- @return table member -> deadline in seconds since the epoch
function _M.announced(list)
    local flat = list_of("zrangebyscore", PREFIX .. list, ngx_now(), "+inf", "withscores") or {}
    local deadlines = {}
    for index = 1, #flat, 2 do
        deadlines[flat[index]] = tonumber(flat[index + 1])
    end
    return deadlines
end

-- Not so for nil, and for what is negative, infinite or no number at all.
local function is_count(value)
    return value ~= nil and value >= 0 and value <= LARGEST_COUNT
end

-- Adds to a counter and starts its window with the first addition, in one step.
local COUNT_SCRIPT = [[
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {count, redis.call('PTTL', KEYS[1])}
]]

--- Adds to a counter that ends with its window.
-- @param amount number 0 only reads
-- @param window_ms number
-- @return number|nil count, nil when Redis cannot say
-- @return number|nil milliseconds until the window ends
function _M.count(key, amount, window_ms)
    local result = list_from("eval", _M.eval(COUNT_SCRIPT, key, amount, window_ms)) or {}
    local used, remaining_ms = tonumber(result[1]), tonumber(result[2])
    if not is_count(used) or not is_count(remaining_ms) then
        return nil
    end
    return used, math_min(remaining_ms, window_ms)
end

return _M
