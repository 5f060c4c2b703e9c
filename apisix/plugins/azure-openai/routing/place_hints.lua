--- Where a resource may be that a client has only mentioned.
--
-- A request can name ids that do not exist, in any number, and succeed all the same. So the gateway remembers what such
-- a success tells for a short time, in a dictionary of its own, in this replica only, and for the client that sent it.
local ngx = ngx

local dict = ngx.shared["azure-openai-hints"]

local REMEMBER_SECONDS = 600

local _M = {}

-- With the length of the client's name no two pairs of client and id are spelled alike.
local function key(client, id)
    return #client .. "|" .. client .. "|" .. id
end

--- @param client string
-- @param id string plain id
-- @return string|nil name of a backend
function _M.get(client, id)
    return dict:get(key(client, id))
end

--- @param backend string name
function _M.set(client, id, backend)
    dict:set(key(client, id), backend, REMEMBER_SECONDS)
end

return _M
