--- Shares a number of places among clients: each may have half of what the others leave.
--
-- So one client alone gets half of all, and whoever comes next still finds room.
local setmetatable = setmetatable
local math_floor = math.floor

local FairShare = {}
FairShare.__index = FairShare

local _M = {}

--- @param places number
function _M.new(places)
    return setmetatable({ places = places, taken = 0, taken_by = {} }, FairShare)
end

--- Whether a client may take one more.
-- @param client string name; "" for everybody
-- @return boolean
function FairShare:has_room(client)
    local own = self.taken_by[client] or 0
    return own < math_floor((self.places - self.taken + own) / 2)
end

--- A client takes one.
function FairShare:take(client)
    self.taken = self.taken + 1
    self.taken_by[client] = (self.taken_by[client] or 0) + 1
end

--- A client gives one back.
function FairShare:give_back(client)
    self.taken = self.taken - 1
    local left = self.taken_by[client] - 1
    self.taken_by[client] = left > 0 and left or nil
end

return _M
