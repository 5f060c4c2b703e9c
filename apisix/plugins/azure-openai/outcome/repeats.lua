--- Whether a failed request may be sent to another backend, or whether that could do it twice.
local operations = require("apisix.plugins.azure-openai.request.operations")

-- A backend that answers so may have done its work; so may one that answers nothing.
local UNKNOWN_STATUSES = { [408] = true, [500] = true, [502] = true, [504] = true }
local UNKNOWN_REASONS = { timeout = true, reset = true }

local _M = {}

local function is_outcome_unknown(outcome)
    if outcome.status then
        return UNKNOWN_STATUSES[outcome.status] or false
    end
    return UNKNOWN_REASONS[outcome.reason] and not outcome.is_stale or false
end

--- Tells so, of a request that makes something, when nobody knows whether it was made.
-- @param request table from `reading.read`
-- @param outcome Outcome of the failed attempt
-- @return boolean
function _M.is_ruled_out(request, outcome)
    return is_outcome_unknown(outcome) and operations.is_creation(request)
end

return _M
