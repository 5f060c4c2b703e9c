--- What the gateway needs to know of a JSON body. One pass finds it, and the document is never held.
local json_scanner = require("apisix.plugins.azure-openai.base.json_scanner")

local ipairs = ipairs
local pairs = pairs
local setmetatable = setmetatable
local string_find = string.find
local string_lower = string.lower
local string_sub = string.sub
local table_remove = table.remove
local tonumber = tonumber

--- A member at the top of a body, by the place of its value.
---@class Member
---@field kind string "string", "number", "true", "false", "null", "object" or "list"
---@field offset number bytes before the value
---@field length number bytes
---@field value any of a string (of one longer than 4096 bytes: its beginning, with the escapes), number or boolean

--- An item of `input` that a client replays from an earlier answer.
---@class Item
---@field id string
---@field is_sealed boolean it carries its content encrypted, so that only its maker can read it

---@class Facts
---@field members table<string, Member> those of KEPT
---@field is_empty boolean there is no member at all
---@field head number offset behind the opening brace, where a member can be added
---@field ambiguous string|nil a member that backends can read in two ways: it stands twice where deployments are named,
---  or is `model` or `deployment_name` in another case
---@field deployments string[]|nil every deployment that the body names, apart from `model` at the top; nil when it has
---  too many members to tell
---@field names_session boolean `session` names its deployment
---@field references string[] ids of stored resources, the most telling first, at most 16
---@field items Item[] the last 16 replayed items, in their order
---@field has_tokens boolean `prompt` or `input` is given in numbers
---@field base64_bytes number bytes of data URLs: images and files, which no model reads as text
---@field nodes number lists, objects, names and texts, at most a million

-- Members at the top that refer to stored resources, the most telling first.
local REFERENCES = {
    "previous_response_id",
    "conversation",
    "assistant_id",
    "input_file_id",
    "file_id",
    "training_file",
    "validation_file",
    "file_ids",
}
-- Members anywhere below that do: input parts, attachments, tools and their resources.
local NESTED_REFERENCES = { file_id = true, file_ids = true, vector_store_ids = true, container = true }
-- Objects of these types refer by their `id`.
local REFERRING_TYPES = { item_reference = true, file_id = true }
-- The gateway looks for one owner only, so more references would tell nothing new.
local MOST_IDS = 16
-- Real ids are much shorter. Each id becomes a key in memory and in Redis, so long ones are ignored.
local LONGEST_ID_BYTES = 512

local KEPT = {
    background = true,
    best_of = true,
    data_sources = true,
    input = true,
    instructions = true,
    max_completion_tokens = true,
    max_output_tokens = true,
    max_tokens = true,
    messages = true,
    model = true,
    n = true,
    prompt = true,
    prompt_cache_key = true,
    store = true,
    stream = true,
    stream_options = true,
    system = true,
    tools = true,
}
local IS_REFERENCE = {}
for _, name in ipairs(REFERENCES) do
    IS_REFERENCE[name] = true
end

-- The model's input and the client's own data name no deployments.
local CONTENT = { messages = true, input = true, prompt = true, metadata = true }
-- Members below which `model` is a deployment; `deployment_name` is one everywhere.
local NAMING_PARENTS = { session = true, tools = true }
local MOST_WATCHED = 10000
local MOST_DEPLOYMENTS = 100

-- A client's own data and schemas refer to nothing.
local OWN = { metadata = true, schema = true, input_schema = true, item_schema = true }
local TOOLS = { tools = true, functions = true }
-- Below these a client may give tokens in place of words.
local TOKENS = { input = true, prompt = true }

local DATA_URL = "^data:[^,]-;base64,"

-- The fields that begin with `at_` have a value for each open list or object, by its depth.
local Listener = {}
Listener.__index = Listener

local function add_id(ids, id)
    if id ~= "" and #id <= LONGEST_ID_BYTES and #ids < MOST_IDS then
        ids[#ids + 1] = id
    end
end

local function add_deployment(self, name)
    if name == "" or self.is_named[name] then
        return
    end
    self.is_named[name] = true
    self.deployments[#self.deployments + 1] = name
    self.is_unclear = self.is_unclear or #self.deployments > MOST_DEPLOYMENTS
end

-- Notes a member that stands twice in its object. Backends may take either, and may not tell upper from lower case.
local function note_twice(self, depth, name, folded)
    local seen, object = self.seen[depth], self.at_object[depth]
    if not seen then
        seen = {}
        self.seen[depth] = seen
    end
    if seen[folded] == object then
        self.ambiguous = self.ambiguous or name
    end
    seen[folded] = object
end

function Listener:name(scanner, name)
    local depth = scanner.depth
    -- All names that matter are told.
    name = name or ""
    self.at_name[depth], self.at_folded[depth] = name, name
    if depth == 1 then
        self.is_empty = false
    end
    if self.at_content[depth] or self.is_unclear then
        return
    end
    self.watched = self.watched + 1
    self.is_unclear = self.watched > MOST_WATCHED
    local folded = string_lower(name)
    self.at_folded[depth] = folded
    if name ~= "" and not self.at_own[depth] then
        note_twice(self, depth, name, folded)
    end
end

-- A string member that names a deployment, as far as one can be named here.
local function hear_deployment(self, depth, value)
    local name, folded = self.at_name[depth], self.at_folded[depth]
    if self.at_content[depth] or not (folded == "model" or folded == "deployment_name") then
        return
    end
    local is_naming = folded == "deployment_name" or self.at_naming[depth]
    if is_naming then
        add_deployment(self, value)
    end
    if name ~= folded and (is_naming or depth == 1) then
        self.ambiguous = self.ambiguous or name
    end
    if depth == 2 and name == "model" and self.at_name[1] == "session" then
        self.names_session = true
    end
end

-- Where ids of a member are collected; nil when it refers to nothing.
local function ids_of(self, depth, name)
    if depth == 1 and IS_REFERENCE[name] then
        self.top_ids[name] = self.top_ids[name] or {}
        return self.top_ids[name]
    end
    return NESTED_REFERENCES[name] and not self.at_own[depth] and self.nested_ids or nil
end

-- What strings mean in an object, by the member's name. Others mean nothing to the gateway.
local MEANS = { model = true, deployment_name = true, type = true, id = true, encrypted_content = true }
for name in pairs(NESTED_REFERENCES) do
    MEANS[name] = true
end

local function hear_member(self, depth, value)
    local name = self.at_name[depth]
    hear_deployment(self, depth, value)
    local ids = ids_of(self, depth, name)
    if ids then
        add_id(ids, value)
    end
    if name == "type" then
        self.at_type[depth] = value
    elseif name == "id" then
        self.at_id[depth] = value
    elseif name == "encrypted_content" then
        self.at_sealed[depth] = true
    end
end

local function keep(self, kind, offset, length, value)
    local name = self.at_name[1]
    if KEPT[name] then
        self.members[name] = { kind = kind, offset = offset, length = length, value = value }
    end
end

local function count_base64(self, text, from, bytes)
    if string_find(text, DATA_URL, from) then
        self.base64_bytes = self.base64_bytes + bytes
    end
end

function Listener:string(scanner, from, to)
    local depth = scanner.depth
    if scanner.is_object[depth] then
        if depth == 1 then
            keep(self, "string", scanner.base + from - 2, to - from + 3, scanner:string_at(from, to))
        end
        local name = self.at_folded[depth]
        if MEANS[name] or (depth == 1 and IS_REFERENCE[name]) then
            hear_member(self, depth, scanner:string_at(from, to))
        end
    elseif self.at_ids[depth] then
        add_id(self.at_ids[depth], scanner:string_at(from, to))
    end
    if scanner.text:byte(from) == 100 then
        count_base64(self, scanner.text, from, to - from + 1)
    end
end

function Listener:long_string(scanner, head, offset, bytes)
    local depth = scanner.depth
    if scanner.is_object[depth] then
        if depth == 1 then
            keep(self, "string", offset, bytes, head)
        end
        if MEANS[self.at_folded[depth]] then
            -- Too long for any name or id, but not to be refused.
            hear_member(self, depth, head)
        end
    end
    count_base64(self, head, 1, bytes)
end

function Listener:other(scanner, kind, from, to)
    local depth = scanner.depth
    if depth == 1 then
        local value = kind == "true" or nil
        if kind == "number" then
            value = tonumber(string_sub(scanner.text, from, to))
        elseif kind == "false" then
            value = false
        end
        keep(self, kind, scanner.base + from - 1, to - from + 1, value)
    elseif kind == "number" and not scanner.is_object[depth] and not scanner.is_object[2] and depth <= 3 then
        self.has_tokens = self.has_tokens or TOKENS[self.at_name[1]] or false
    end
end

-- What holds inside the list or object that is the value of member `name`.
local function enter_member(self, depth, name)
    local parent, folded = depth - 1, self.at_folded[depth - 1]
    self.at_ids[depth] = ids_of(self, parent, name)
    self.at_content[depth] = self.at_content[parent] or (parent == 1 and CONTENT[name] or false)
    self.at_naming[depth] = self.at_naming[parent]
        or NAMING_PARENTS[folded]
        or string_find(folded, "transcription", 1, true) ~= nil
    self.at_tools[depth] = self.at_tools[parent] or TOOLS[name] or false
    self.at_own[depth] = self.at_own[parent] or OWN[name] or (self.at_tools[parent] and name == "parameters")
end

-- The same for an element of a list.
local function enter_element(self, depth)
    local parent = depth - 1
    self.at_ids[depth] = self.at_ids[parent]
    self.at_content[depth] = self.at_content[parent]
    self.at_naming[depth] = self.at_naming[parent]
    self.at_tools[depth] = self.at_tools[parent]
    self.at_own[depth] = self.at_own[parent]
end

function Listener:open(scanner, is_object, offset)
    local depth = scanner.depth
    if is_object then
        self.objects = self.objects + 1
        self.at_object[depth], self.at_type[depth], self.at_id[depth], self.at_sealed[depth] =
            self.objects, nil, nil, nil
    end
    if depth == 1 then
        self.is_object, self.head = is_object, offset + 1
        return not is_object
    end
    if scanner.is_object[depth - 1] then
        enter_member(self, depth, self.at_name[depth - 1])
        if depth == 2 then
            keep(self, is_object and "object" or "list", offset)
        end
    else
        enter_element(self, depth)
    end
    return self.at_content[depth] and self.at_own[depth]
end

local function add_item(self, id, is_sealed)
    self.items[#self.items + 1] = { id = id, is_sealed = is_sealed }
    if #self.items > MOST_IDS then
        table_remove(self.items, 1)
    end
end

-- An object is over: it may have been a reference, or an item that the client replays.
local function hear_object(self, depth)
    local id, kind = self.at_id[depth], self.at_type[depth]
    if not id or self.at_own[depth] then
        return
    end
    if REFERRING_TYPES[kind] then
        add_id(self.nested_ids, id)
    elseif self.at_ids[depth] then
        add_id(self.at_ids[depth], id)
    elseif depth == 3 and self.at_name[1] == "input" and #id <= LONGEST_ID_BYTES then
        add_item(self, id, self.at_sealed[depth] == true)
    end
end

function Listener:close(scanner, offset)
    local depth = scanner.depth
    if depth == 2 then
        local member = self.members[self.at_name[1]]
        if member then
            member.length = offset - member.offset
        end
    end
    if depth > 1 and scanner.is_object[depth] then
        hear_object(self, depth)
    end
end

local function listener()
    return setmetatable({
        is_object = false,
        is_empty = true,
        members = {},
        deployments = {},
        is_named = {},
        names_session = false,
        top_ids = {},
        nested_ids = {},
        items = {},
        has_tokens = false,
        base64_bytes = 0,
        -- What it takes to find these.
        is_unclear = false,
        watched = 0,
        objects = 0,
        seen = {},
        at_content = {},
        at_folded = {},
        at_id = {},
        at_ids = {},
        at_name = {},
        at_naming = {},
        at_object = {},
        at_own = {},
        at_sealed = {},
        at_tools = {},
        at_type = {},
    }, Listener)
end

local function all_references(self)
    local ids = {}
    for _, name in ipairs(REFERENCES) do
        for _, id in ipairs(self.top_ids[name] or {}) do
            add_id(ids, id)
        end
    end
    for _, id in ipairs(self.nested_ids) do
        add_id(ids, id)
    end
    return ids
end

local _M = {}

--- Reads a JSON body.
--
--     {"model":"gpt-4o","stream":true} -> { members = { model = { kind = "string", offset = 9, length = 8,
--         value = "gpt-4o" }, stream = { kind = "true", … } }, head = 1, deployments = {}, … }
--
-- @param pieces function that returns the body piece by piece, then nil
-- @param pause function that is called between pieces, to let others work
-- @return Facts|nil nil when the body is no JSON object
-- @return table|nil fault { message, is_too_much (it is JSON, but too much of it) }
function _M.read(pieces, pause)
    local heard = listener()
    local nodes, fault = json_scanner.scan(pieces, heard, pause)
    if fault then
        return nil, fault
    end
    if not heard.is_object then
        return nil, { message = "The JSON is no object." }
    end
    return {
        members = heard.members,
        is_empty = heard.is_empty,
        head = heard.head,
        ambiguous = heard.ambiguous,
        deployments = not heard.is_unclear and heard.deployments or nil,
        names_session = heard.names_session,
        references = all_references(heard),
        items = heard.items,
        has_tokens = heard.has_tokens,
        base64_bytes = heard.base64_bytes,
        nodes = nodes,
    }
end

return _M
