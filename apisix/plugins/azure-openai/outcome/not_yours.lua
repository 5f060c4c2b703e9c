--- The answer to a client that asks for a stored resource that is not its own. It is what a backend says of a resource
--- that does not exist.
local ngx = ngx

-- A failing Redis is left alone for so long.
local RETRY_AFTER_SECONDS = 2

local _M = {}

-- Only spelled like this an id is safe in a message.
local function shown(id)
    return (id:gsub("[^%w_.:-]", "?"))
end

local function not_found(status, message, param, code)
    return {
        status = status,
        headers = {},
        problem = {
            message = message,
            type = "invalid_request_error",
            param = param or ngx.null,
            code = code or ngx.null,
        },
    }
end

local function unsure(message)
    return {
        status = 503,
        headers = { ["Retry-After"] = RETRY_AFTER_SECONDS },
        problem = { message = message },
    }
end

local function unreadable(request)
    local message = "The request body refers to too many stored resources."
    if request.json_fault then
        message = "The request body is not JSON. " .. request.json_fault
    elseif request.is_unread then
        message = "The request body is neither a JSON object, sent as application/json, nor a plain form."
    end
    return { status = 400, headers = {}, problem = { message = message } }
end

-- A predecessor has an error of its own, which clients know.
local function is_predecessor(request, id)
    return request.operation:lower() == "responses" and id:find("^resp") ~= nil
end

--- Composes the answer.
-- @param request table from `reading.read`
-- @param fault string "not_found", "unsure" when it cannot be told now whose the resource is, or "unreadable" when it
--   cannot be told which resources the body refers to
-- @param id string|nil plain id of the resource, when it was not found
-- @return Answer
function _M.compose(request, fault, id)
    if fault == "unsure" then
        return unsure("The gateway cannot tell right now whose stored resources these are.")
    end
    if fault == "unreadable" then
        return unreadable(request)
    end
    if is_predecessor(request, id) then
        local message = "Previous response with id '" .. shown(id) .. "' not found."
        return not_found(400, message, "previous_response_id", "previous_response_not_found")
    end
    return not_found(404, "No stored resource with id '" .. shown(id) .. "' found.")
end

return _M
