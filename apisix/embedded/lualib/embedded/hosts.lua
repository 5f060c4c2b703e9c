--- The names of /etc/hosts, which nginx's own resolver does not know.
local getmetatable = getmetatable
local io_open = io.open
local ngx = ngx
local type = type

local _M = {}

-- Reads the IPv4 addresses of /etc/hosts by name.
local function read_hosts()
    local names = { localhost = "127.0.0.1" }
    local file = io_open("/etc/hosts", "r")
    if not file then
        return names
    end
    for line in file:lines() do
        local address, rest = line:gsub("#.*", ""):match("^%s*(%S+)%s+(.+)$")
        if address and not address:find(":", 1, true) then
            for name in rest:gmatch("%S+") do
                names[name:lower()] = names[name:lower()] or address
            end
        end
    end
    file:close()
    return names
end

--- Lets every cosocket of this process connect to the names of /etc/hosts.
-- All TCP cosockets share one table of methods, so changing the table of the first one is enough.
function _M.patch_sockets()
    local hosts = read_hosts()
    local tcp = ngx.socket.tcp
    local patched

    local function socket_tcp(...)
        local sock, err = tcp(...)
        if not sock or patched then
            return sock, err
        end
        local methods = getmetatable(sock).__index
        local connect = methods.connect
        methods.connect = function(self, host, ...)
            return connect(self, type(host) == "string" and hosts[host:lower()] or host, ...)
        end
        patched = true
        return sock
    end

    ngx.socket.tcp = socket_tcp -- luacheck: ignore 122
end

return _M
