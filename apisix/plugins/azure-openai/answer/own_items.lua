--- Shows a client only those stored resources that it may use, in lists and alone.
--
-- The pages of a list stay truthful. A page on which nothing is left is replaced by the next one that has something for
-- the client, because clients take an empty page for the end.
local core = require("apisix.core")
local list_page = require("apisix.plugins.azure-openai.answer.list_page")
local dispatch = require("apisix.plugins.azure-openai.attempt.dispatch")
local upstream = require("apisix.plugins.azure-openai.attempt.upstream")
local not_yours = require("apisix.plugins.azure-openai.outcome.not_yours")
local collections = require("apisix.plugins.azure-openai.request.collections")
local query = require("apisix.plugins.azure-openai.request.query")
local stored_ids = require("apisix.plugins.azure-openai.request.stored_ids")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")
local resource_records = require("apisix.plugins.azure-openai.routing.resource_records")

local ipairs = ipairs
local pcall = pcall
local setmetatable = setmetatable
local tonumber = tonumber

-- So many pages at most one request of a client costs the backend.
local MOST_PAGES = 50
-- Every collection allows so many items on a page.
local LARGEST_PAGE = 100
local LARGEST_PAGE_BYTES = 8 * 1024 * 1024
-- Files that Azure itself makes for a batch, a job or a run. Nobody knows whose they are until their owner looks at the
-- batch, and there the owner finds their ids.
local BY_PRODUCTS = { batch_output = true, ["fine-tune-results"] = true, assistants_output = true }
-- Azure makes containers for responses on the way.
local COLLECTIONS_OF_BY_PRODUCTS = { containers = true }

local _M = {}

local function is_by_product(operation, item)
    return COLLECTIONS_OF_BY_PRODUCTS[operation:lower()]
        or BY_PRODUCTS[list_page.string_member(item.text, "purpose") or ""]
        or false
end

-- Takes out what the client may not see. Returns how many items that were; nil when nobody can tell now.
local function hide(plan, operation, page)
    local ids = {}
    for index, item in ipairs(page.items) do
        ids[index] = item.id and stored_ids.plain(item.id) or ""
    end
    local records, is_all_known = resource_records.find(ids)
    if plan.policy == "strict" and not is_all_known then
        return nil
    end
    local shown = {}
    for index, item in ipairs(page.items) do
        local record = records[index]
        local is_nobodys = not (record and record.owner)
        if
            not item.id
            or (ownership.may_use(plan, record) and not (is_nobodys and is_by_product(operation, item)))
        then
            shown[#shown + 1] = item
        end
    end
    local hidden = #page.items - #shown
    page.items = shown
    return hidden
end

-- Which way a client pages: "after" an id, or "before" one.
local function direction(request)
    local suffix = request.surface.paging
    local is_back = #query.values(request.target, "before" .. suffix) > 0
        and #query.values(request.target, "after" .. suffix) == 0
    return is_back and "before" or "after"
end

-- The request for the page that follows.
local function following(request, page)
    local way = direction(request)
    local id = way == "before" and page.first_id or page.last_id
    local target = query.set(request.target, way .. request.surface.paging, id)
    if query.values(target, "limit")[1] then
        target = query.set(target, "limit", LARGEST_PAGE)
    end
    return setmetatable({ target = target }, { __index = request })
end

-- Reads a page from the backend; nil when that fails.
local function fetch(state, answer, request)
    local status, body =
        dispatch.fetch(state.pool, answer.backend, answer.deployment, request, LARGEST_PAGE_BYTES)
    return status == 200 and body and list_page.read(body) or nil
end

-- The first page with something for the client, from `page` on; an empty one when there is none or it is too far away.
local function first_filled(state, plan, answer, page)
    for _ = 1, MOST_PAGES do
        if #page.items > 0 or not page.has_more or not page.last_id then
            return page
        end
        local next_page = fetch(state, answer, following(state.request, page))
        if not next_page or not hide(plan, state.request.operation, next_page) then
            return page
        end
        page = next_page
    end
    return page
end

-- Leaves as many items as the client wants. Larger pages are read than it asked for.
local function cut(page, request)
    local limit = tonumber(query.values(request.target, "limit")[1])
    if not limit or limit < 1 or #page.items <= limit then
        return
    end
    local skipped = direction(request) == "before" and #page.items - limit or 0
    local items = {}
    for index = 1, limit do
        items[index] = page.items[skipped + index]
    end
    page.items, page.has_more = items, true
end

local function show_list(state, plan, answer, page)
    local hidden = hide(plan, state.request.operation, page)
    if not hidden then
        return not_yours.compose(state.request, "unsure")
    end
    if hidden > 0 then
        page = first_filled(state, plan, answer, page)
        cut(page, state.request)
        answer.body = list_page.write(page)
    end
    return answer
end

-- Shows a resource that the client may have asked for by another name than its id.
local function show_one(state, plan, answer, id)
    local plain = stored_ids.plain(id)
    if
        plain
        and plain ~= plan.ids[1]
        and not ownership.may_use(plan, resource_records.find({ plain })[1])
    then
        return not_yours.compose(state.request, "not_found", plain)
    end
    return answer
end

-- Shows what can be read; nil when that is neither a list nor a resource.
local function show(state, plan, answer)
    local page = list_page.read(answer.body)
    if page then
        return show_list(state, plan, answer, page)
    end
    local id = answer.body:find("^%s*{") and list_page.string_member(answer.body, "id")
    return id and show_one(state, plan, answer, id) or nil
end

local function refused(answer, message)
    if answer.connection then
        upstream.close(answer.connection)
    end
    return {
        status = 502,
        headers = {},
        backend = answer.backend,
        deployment = answer.deployment,
        problem = { message = message },
    }
end

--- What a client may see of an answer.
-- @param state RequestState
-- @param plan table from `ownership.plan`
-- @param answer Answer of a backend
-- @return Answer
function _M.only(state, plan, answer)
    local request = state.request
    if answer.status ~= 200 or not collections.is_shown(request) or ownership.may_use_all(plan) then
        return answer
    end
    local is_list = not stored_ids.subject(request.operation)
    if not answer.body then
        return is_list and refused(answer, "The list is too large. Ask for fewer items with 'limit'.")
            or answer
    end
    local ok, shown = pcall(show, state, plan, answer)
    if not ok then
        core.log.warn(
            "azure-openai: backend '",
            answer.backend.name,
            "' sent a list that cannot be read: ",
            shown
        )
    end
    return ok and shown or is_list and refused(answer, "The backend's list cannot be read.") or answer
end

return _M
