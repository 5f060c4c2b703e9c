--- Names that nginx's own resolver does not know: those of /etc/hosts.
local _M = {}

local hosts

local function read_hosts()
    local names = { localhost = "127.0.0.1" }
    local file = io.open("/etc/hosts", "r")
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

--- Address of a name in /etc/hosts; any other host comes back as it is, for nginx to resolve.
function _M.parse_domain(host)
    hosts = hosts or read_hosts()
    return hosts[host:lower()] or host
end

--- Lets every cosocket of this process connect to the names of /etc/hosts.
-- All TCP cosockets share one method table, so it is enough to change the first one made.
function _M.patch_sockets()
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
            if type(host) == "string" and host:sub(1, 5) ~= "unix:" then
                host = _M.parse_domain(host)
            end
            return connect(self, host, ...)
        end
        patched = true
        return sock
    end

    ngx.socket.tcp = socket_tcp -- luacheck: ignore 122
end

return _M
