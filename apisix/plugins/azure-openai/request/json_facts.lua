--- What the gateway needs to know of a JSON body. One pass finds it, and the document is never held.
local json_scanner = require("apisix.plugins.azure-openai.base.json_scanner")
local json_references = require("apisix.plugins.azure-openai.request.json_references")

local setmetatable = setmetatable
local string_find = string.find
local string_lower = string.lower
local string_sub = string.sub
local table_remove = table.remove
local tonumber = tonumber
local add_id, ids_of = json_references.add, json_references.ids_of

--- A member at the top of a body, by the place of its value.
---@class Member
---@field kind string "string", "number", "true", "false", "null", "object" or "list"
---@field offset number bytes before the value
---@field length number bytes
---@field value any of a string (of one longer than 4096 bytes: its beginning, with the escapes), number or boolean

---@class Facts
---@field members table<string, Member> those of KEPT
---@field is_empty boolean there is no member at all
---@field head number offset behind the opening brace, where a member can be added
---@field ambiguous string|nil a member that backends can read in two ways: it stands twice where deployments are named,
---  or is `model` or `deployment_name` in another case
---@field deployments string[]|nil every deployment that the body names, apart from `model` at the top; nil when it has
---  too many members to tell
---@field names_session boolean `session` names its deployment
---@field references string[] ids of stored resources, the most telling first, at most 2048
---@field mentions string[] ids in other members that are named like an id, at most 2048
---@field has_more_references boolean whether there are more than that of either
---@field items Item[] the last 16 replayed items, in their order
---@field item_ids string[] the ids of all items, at most 2048
---@field has_more_item_ids boolean whether there are more than that
---@field refers boolean whether there is anything that may refer to what one backend alone has
---@field has_tokens boolean `prompt` or `input` is given in numbers
---@field first_user_end number|nil offset behind the first message of a user in `messages` or `input`
---@field asked_end number|nil offset behind the last message there that comes before the first answer
---@field base64_bytes number bytes of images and files, which no model reads as text
---@field nodes number lists, objects, names and texts, at most a million

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
-- The model's input and the client's own data name no deployments.
local CONTENT = { messages = true, input = true, prompt = true, metadata = true }
local NAMES_DEPLOYMENTS = { model = true, deployment_name = true }
-- Members below which `model` is a deployment; `deployment_name` is one everywhere.
local NAMING_PARENTS = { session = true, tools = true }
local MOST_WATCHED = 10000
local MOST_DEPLOYMENTS = 100

-- A client's own data and schemas refer to nothing, nor does what Claude gave a tool (`input` inside of a message).
local OWN = { metadata = true, schema = true, input_schema = true, item_schema = true }
local TOOLS = { tools = true, functions = true }
-- Below these a client may give tokens in place of words.
local TOKENS = { input = true, prompt = true }

-- The messages are objects in lists at the top.
local MESSAGES = { messages = true, input = true }
local MESSAGE_DEPTH = 3
-- Who speaks before the first answer.
local ASKING = { user = true, system = true, developer = true }

local DATA_URL = "^data:[^,]-;base64,"
-- Members that hold pictures and files. Elsewhere a model reads such a text like any other.
local MEDIA = { url = true, image_url = true, file_data = true, image = true }

-- What is known of an open list or object:
--   is_object
--   name, folded   the last member of an object, and the same in lower case: backends may not tell them apart
--   ids            where the ids in it are collected; false when it refers to nothing
--   in_content, in_naming, in_own, in_tools   whether it lies below a member of these kinds
--   role, source_bytes   who speaks, when it is a message; how long its `data` is, when it is a source
--   number         tells objects apart
--   type, id, seal   members of an object
--   refers, other_ids, says   whether one of its types refers by id; its other ids; whether it has content of its own
--                  (all six: json_references)
-- The frames of a listener are used again, for its next list or object, and for the next body.
local Listener = {}
Listener.__index = Listener

local function add_deployment(self, name)
    if name == "" or self.is_named[name] then
        return
    end
    self.is_named[name] = true
    self.deployments[#self.deployments + 1] = name
    self.is_unclear = self.is_unclear or #self.deployments > MOST_DEPLOYMENTS
end

-- Notes a member that stands twice in its object. Backends may take either, and may not tell upper from lower case.
local function note_twice(self, frame)
    if frame.seen[frame.folded] == frame.number then
        self.ambiguous = self.ambiguous or frame.name
    end
    frame.seen[frame.folded] = frame.number
end

function Listener:name(_, name)
    local frame = self.frame
    -- All names that matter are told.
    name = name or ""
    frame.name, frame.folded = name, string_lower(name)
    json_references.hear_name(frame, name)
    if frame.in_content or self.is_unclear then
        return
    end
    self.watched = self.watched + 1
    self.is_unclear = self.watched > MOST_WATCHED
    if name ~= "" and not frame.in_own then
        note_twice(self, frame)
    end
end

-- A string member that names a deployment, as far as one can be named here.
local function hear_deployment(self, depth, frame, value)
    local name, folded = frame.name, frame.folded
    if frame.in_content or not NAMES_DEPLOYMENTS[folded] then
        return
    end
    local is_naming = folded == "deployment_name" or frame.in_naming
    if is_naming then
        add_deployment(self, value)
    end
    if name ~= folded and (is_naming or depth == 1) then
        self.ambiguous = self.ambiguous or name
    end
    if depth == 2 and name == "model" and self.frames[1].name == "session" then
        self.names_session = true
    end
end

local function hear_member(self, depth, frame, value)
    hear_deployment(self, depth, frame, value)
    local ids = ids_of(self.found, frame.folded, depth == 1, frame.in_own)
    if ids then
        add_id(self.found, ids, value)
    end
    json_references.hear(self.found, frame, value)
end

-- Whether a string member means something.
local function is_meant(depth, frame)
    return NAMES_DEPLOYMENTS[frame.folded] or json_references.may_refer(frame.folded, depth == 1)
end

local function keep(self, kind, offset, length, value)
    local name = self.frames[1].name
    if KEPT[name] then
        self.members[name] = { kind = kind, offset = offset, length = length, value = value }
    end
end

-- Anthropic's pictures and files: {"source": {"type": "base64", "data": …}}. Sources of other types have text there.
local function is_source(self, depth, frame)
    return frame.name == "data" and depth > 1 and self.frames[depth - 1].name == "source"
end

local function count_base64(self, depth, frame, text, from, bytes)
    if not frame.is_object or frame.in_own then
        return
    end
    if MEDIA[frame.name] and string_find(text, DATA_URL, from) then
        self.base64_bytes = self.base64_bytes + bytes
    elseif is_source(self, depth, frame) then
        frame.source_bytes = bytes
    end
end

function Listener:string(scanner, from, to)
    local depth, frame = scanner.depth, self.frame
    if depth == 0 then
        return
    end
    if frame.is_object then
        if depth == 1 and KEPT[frame.name] then
            keep(self, "string", scanner.base + from - 2, to - from + 3, scanner:string_at(from, to))
        end
        if is_meant(depth, frame) then
            hear_member(self, depth, frame, scanner:string_at(from, to))
        elseif depth == MESSAGE_DEPTH and frame.name == "role" then
            frame.role = scanner:string_at(from, to)
        end
    elseif frame.ids then
        add_id(self.found, frame.ids, scanner:string_at(from, to))
    end
    if MEDIA[frame.name] or frame.name == "data" then
        count_base64(self, depth, frame, scanner.text, from, to - from + 1)
    end
end

function Listener:long_string(scanner, head, offset, bytes)
    local depth, frame = scanner.depth, self.frame
    if depth > 0 and frame.is_object then
        if depth == 1 then
            keep(self, "string", offset, bytes, head)
        end
        if is_meant(depth, frame) then
            -- Too long for any name or id, but not to be overlooked.
            hear_member(self, depth, frame, head)
        end
    end
    if depth > 0 then
        count_base64(self, depth, frame, head, 1, bytes)
    end
end

local function value_of(scanner, kind, from, to)
    if kind == "number" then
        return tonumber(string_sub(scanner.text, from, to))
    elseif kind == "null" then
        return nil
    end
    return kind == "true"
end

function Listener:other(scanner, kind, from, to)
    local depth = scanner.depth
    if depth == 1 then
        keep(self, kind, scanner.base + from - 1, to - from + 1, value_of(scanner, kind, from, to))
    elseif depth == 2 or depth == 3 then
        local frames = self.frames
        local is_in_lists = not frames[2].is_object and not frames[depth].is_object
        if kind == "number" and is_in_lists and TOKENS[frames[1].name] then
            self.has_tokens = true
        end
    end
end

-- Every field has a value from the beginning, and none is nil later: LuaJIT compiles no store of nil to a field that is
-- not there.
local function new_frame()
    return {
        seen = {},
        is_object = false,
        number = 0,
        name = false,
        folded = false,
        type = false,
        id = false,
        seal = false,
        refers = false,
        other_ids = false,
        says = false,
        source_bytes = 0,
        role = false,
        ids = false,
        in_content = false,
        in_naming = false,
        in_own = false,
        in_tools = false,
    }
end

local function frame_at(self, depth)
    local frame = self.frames[depth]
    if not frame then
        frame = new_frame()
        self.frames[depth] = frame
    end
    return frame
end

-- What holds in the list or object that is the value of its parent's member.
local function enter_member(self, frame, parent, depth)
    local name, folded = parent.name, parent.folded
    frame.ids = ids_of(self.found, folded, depth == 2, parent.in_own)
    frame.in_content = parent.in_content or (depth == 2 and CONTENT[name] or false)
    frame.in_naming = parent.in_naming
        or NAMING_PARENTS[folded]
        or (not frame.in_content and string_find(folded, "transcription", 1, true) ~= nil)
    frame.in_tools = parent.in_tools or TOOLS[name] or false
    frame.in_own = parent.in_own
        or OWN[name]
        or (parent.in_tools and name == "parameters")
        or (parent.in_content and name == "input" and frame.is_object)
end

-- The same for an element of a list.
local function enter_element(frame, parent)
    frame.ids = parent.ids
    frame.in_content, frame.in_naming = parent.in_content, parent.in_naming
    frame.in_tools, frame.in_own = parent.in_tools, parent.in_own
end

function Listener:open(scanner, is_object, offset)
    local depth, parent = scanner.depth, self.frame
    local frame = frame_at(self, depth)
    self.frame, frame.is_object = frame, is_object
    if is_object then
        self.objects = self.objects + 1
        frame.number, frame.name, frame.folded, frame.role = self.objects, false, false, false
        frame.source_bytes = 0
        json_references.open(frame)
    end
    if depth == 1 then
        self.is_object, self.head = is_object, offset + 1
        return not is_object
    end
    if parent.is_object then
        enter_member(self, frame, parent, depth)
        if depth == 2 then
            keep(self, is_object and "object" or "list", offset)
        end
    else
        enter_element(frame, parent)
    end
    return frame.in_content and frame.in_own
end

-- A message has ended. What has no role is a call of a function, its result or reasoning.
local function hear_message(self, role, offset)
    if role == "user" then
        self.first_user_end = self.first_user_end or offset
    end
    self.is_answered = self.is_answered or not ASKING[role]
    if not self.is_answered then
        self.asked_end = offset
    end
end

function Listener:close(scanner, offset)
    local depth, frame = scanner.depth, self.frame
    self.frame = self.frames[depth - 1]
    if depth == 2 then
        local member = self.members[self.frame.name]
        if member then
            member.length = offset - member.offset
        end
    end
    if depth == MESSAGE_DEPTH and frame.is_object and MESSAGES[self.frames[1].name] then
        hear_message(self, frame.role, offset)
    end
    if frame.is_object and frame.type == "base64" then
        self.base64_bytes = self.base64_bytes + frame.source_bytes
    end
    if depth > 1 and frame.is_object and not frame.in_own then
        json_references.close(self.found, frame, depth == 3 and self.frames[1].folded == "input")
    end
end

-- Of most bodies. Nobody adds to it.
local NOTHING = {}

-- Listeners that are free, with their frames. Bodies are many and most are small, so making these would be most of the
-- work.
local free = {}
local MOST_FREE = 16
-- What a client's names leave in memory is bounded.
local MOST_KEPT_WATCHED = 200

local function borrow()
    local listener = table_remove(free) or setmetatable({ frames = {}, objects = 0 }, Listener)
    listener.frame, listener.is_object, listener.head, listener.ambiguous = nil, false, nil, nil
    listener.members = {}
    -- Most bodies name no deployments and refer to nothing. What was found in others belongs to their facts.
    if not listener.deployments or #listener.deployments > 0 then
        listener.deployments, listener.is_named = {}, {}
    end
    if not listener.found or listener.found.is_any then
        listener.found = json_references.new()
    end
    listener.first_user_end, listener.asked_end, listener.is_answered = false, false, false
    listener.names_session, listener.has_tokens, listener.base64_bytes = false, false, 0
    listener.is_unclear, listener.watched = false, 0
    return listener
end

local function give_back(listener)
    if listener.watched <= MOST_KEPT_WATCHED and #listener.frames <= 16 and #free < MOST_FREE then
        free[#free + 1] = listener
    end
end

local function facts_of(listener, nodes)
    local references, mentions, has_more_references, items, item_ids, has_more_item_ids =
        json_references.lists(listener.found)
    local deployments = #listener.deployments > 0 and listener.deployments or NOTHING
    return {
        members = listener.members,
        is_empty = not listener.frames[1].name,
        head = listener.head,
        ambiguous = listener.ambiguous,
        deployments = not listener.is_unclear and deployments or nil,
        names_session = listener.names_session,
        first_user_end = listener.first_user_end or nil,
        asked_end = listener.asked_end or nil,
        has_tokens = listener.has_tokens,
        base64_bytes = listener.base64_bytes,
        nodes = nodes,
        references = references,
        mentions = mentions,
        has_more_references = has_more_references,
        items = items,
        item_ids = item_ids,
        has_more_item_ids = has_more_item_ids,
        refers = listener.found.is_any,
    }
end

local _M = {}

--- Whether a member at the top is `true`.
-- @param facts Facts|nil
-- @param name string one of those that are kept
-- @return boolean
function _M.is_true(facts, name)
    local member = facts and facts.members[name]
    return member ~= nil and member.value == true
end

--- Reads a JSON body.
--
--     {"model":"gpt-4o","stream":true} -> { members = { model = { kind = "string", offset = 9, length = 8,
--         value = "gpt-4o" }, stream = { kind = "true", … } }, head = 1, deployments = {}, … }
--
-- @param source string|function the body, as for `json_scanner.scan`
-- @param pause function that is called between pieces, to let others work
-- @return Facts|nil nil when the body is no JSON object
-- @return table|nil fault { message (nil when it is other JSON), is_too_much (it is JSON, but too much of it) }
function _M.read(source, pause)
    local listener = borrow()
    local nodes, fault = json_scanner.scan(source, listener, pause)
    local facts = nodes and listener.is_object and facts_of(listener, nodes) or nil
    give_back(listener)
    return facts, not facts and (fault or {}) or nil
end

return _M
