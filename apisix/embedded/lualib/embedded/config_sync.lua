--- Loads apisix.yaml at start and whenever its modification time changes.
-- An invalid file never replaces a valid configuration.
local lfs = require("lfs")

local config_file = require("embedded.config_file")
local config_store = require("embedded.config_store")
local core = require("apisix.core")

local _M = {}

local INTERVAL_SECONDS = 1

local served, refused = nil, {}

local function report(problems)
    for _, problem in ipairs(problems) do
        core.log.error("configuration refused: ", problem)
    end
    -- Tells a reader of the log that no more problems follow.
    core.log.error("config file refused.")
    -- The status port tells what keeps a gateway from starting.
    if not config_store.current() then
        ngx.shared["status-report"]:set("problems", core.json.encode(problems))
    end
end
_M.report = report

-- A refused file is read again every time, because it may have been read while it was being written, and may be
-- complete within the same second. Its problems are reported once.
local function refuse(modified, problems)
    local text = table.concat(problems)
    if refused.modified ~= modified or refused.text ~= text then
        refused = { modified = modified, text = text }
        report(problems)
    end
end

local function sync()
    local path = ngx.config.prefix() .. "apisix.yaml"
    local modified = lfs.attributes(path, "modification")
    if modified and modified == served then
        return
    end
    local first = not config_store.current()
    local snapshot, problems = config_file.load(path)
    if not snapshot then
        refuse(modified, problems)
        return
    end
    served, refused = modified, {}
    config_store.replace(snapshot)
    ngx.shared["status-report"]:set(ngx.worker.id(), true)
    ngx.shared["status-report"]:delete("problems")
    if not first then
        core.log.warn("config file ", path, " reloaded.")
    end
end

--- Loads the configuration and starts to watch the file.
function _M.init_worker()
    ngx.shared["status-report"]:set(ngx.worker.id(), false)
    sync()
    assert(ngx.timer.every(INTERVAL_SECONDS, function(premature)
        if not premature then
            sync()
        end
    end))
end

return _M
