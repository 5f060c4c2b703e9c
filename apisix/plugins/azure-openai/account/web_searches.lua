--- How often a response searched the web. A search costs more than its tokens.
local ipairs = ipairs
local type = type

local CALL = "web_search_call"
-- A model makes far fewer for one response.
local MOST_SEARCHES = 10000

local _M = {
    --- Stands in the JSON of every response that has searched, and in no text: there its quotes would be escaped.
    MARK = '"' .. CALL .. '"',
}

local function object(value)
    return type(value) == "table" and value or {}
end

-- Opening a page that was found, and looking into it, is no search.
local function is_search(item)
    item = object(item)
    local action = object(item.action).type
    return item.type == CALL and item.status ~= "failed" and (action == nil or action == "search")
end

--- Counts the searches of a response: those that it reports as billable, else those among its output.
--
--     {"tool_usage":{"web_search":{"num_requests":2}}} -> 2
--
-- @param response table decoded: tool_usage, output
-- @return number|nil nil when there are none
function _M.of(response)
    local count = object(object(response.tool_usage).web_search).num_requests
    if count == nil then
        count = 0
        for _, item in ipairs(object(response.output)) do
            count = count + (is_search(item) and 1 or 0)
        end
    end
    local is_possible = type(count) == "number" and count > 0 and count <= MOST_SEARCHES and count % 1 == 0
    return is_possible and count or nil
end

return _M
