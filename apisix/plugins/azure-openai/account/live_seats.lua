--- Who watches the live page: a bounded number of seats, shared by all workers. A watcher has to keep its seat again
--- and again, so the seat of a worker that died becomes free by itself.
local ngx = ngx

local dict = ngx.shared["azure-openai-live"]

local SEAT_SECONDS = 10
-- Those who see everything have seats of their own, so clients cannot take these from them.
local SEATS_OF_ALL, SEATS_OF_CLIENTS, SEATS_OF_A_CLIENT = 8, 16, 2

local _M = {}
local mt = { __index = _M }

-- How many of the clients' seats one client has.
local function taken_by(owner)
    local count = 0
    for index = 1, SEATS_OF_CLIENTS do
        if dict:get("seat|clients|" .. index) == owner then
            count = count + 1
        end
    end
    return count
end

--- Takes a seat.
-- @param client table|nil the client whose requests the watcher sees; nil when it sees everything
-- @return table|nil the seat; nil when none is free
function _M.take(client)
    local kind = client and "clients" or "all"
    local owner = client and client.name or ""
    if client and taken_by(owner) >= SEATS_OF_A_CLIENT then
        return nil
    end
    for index = 1, client and SEATS_OF_CLIENTS or SEATS_OF_ALL do
        local key = "seat|" .. kind .. "|" .. index
        if dict:add(key, owner, SEAT_SECONDS) then
            return setmetatable({ key = key, owner = owner }, mt)
        end
    end
    return nil
end

--- Keeps the seat for some seconds more. A watcher that was held up for longer takes it again, unless another client
--- has it by now.
-- @return boolean whether it still has one
function _M:keep()
    local owner = dict:get(self.key)
    if owner and owner ~= self.owner then
        return false
    end
    dict:set(self.key, self.owner, SEAT_SECONDS)
    return true
end

--- Gives the seat back.
function _M:leave()
    dict:delete(self.key)
end

return _M
