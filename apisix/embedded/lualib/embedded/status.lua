--- The answers of the status port, like those of APISIX.
local core = require("apisix.core")

local _M = {}

local function readiness()
    local report = ngx.shared["status-report"]
    local problems = report:get("problems")
    if problems then
        return "the configuration was refused", core.json.decode(problems)
    end
    for id = 0, ngx.worker.count() - 1 do
        if not report:get(id) then
            return "worker id: " .. id .. " has not received configuration"
        end
    end
    return nil
end

--- Whether the process is alive.
function _M.live()
    core.response.exit(200, core.json.encode({ status = "ok" }))
end

--- Whether every worker has a valid configuration; `problems` lists what was refused at start.
function _M.ready()
    local err, problems = readiness()
    if err then
        core.response.exit(503, core.json.encode({ status = "error", error = err, problems = problems }))
    end
    core.response.exit(200, core.json.encode({ status = "ok" }))
end

return _M
