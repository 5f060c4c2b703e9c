--- The texts in a JSON body, one by one, with whether they are a user's words.
--
-- Whether they are can depend on members that come later: {"content": "Hi", "role": "user"}. Until then the places of
-- the texts are kept, and the texts are read again. No more than one text is in memory.
local json_scanner = require("apisix.plugins.azure-openai.base.json_scanner")
local json_strings = require("apisix.plugins.azure-openai.base.json_strings")
local request_body = require("apisix.plugins.azure-openai.request.body")
local view_module = require("apisix.plugins.azure-openai.request.view")

local ipairs = ipairs
local setmetatable = setmetatable
local math_min = math.min
local table_concat = table.concat

-- Members that hold a user's words, unless their object has another role or is no message.
local SPOKEN = { prompt = true, input = true, content = true }
-- Words of the protocol, which a backend checks.
local WORDS = { role = true, type = true, model = true }
-- Below these stand a tool's arguments and their schemas: texts in members of any name, and no words of a user.
local OWN = { input = true, parameters = true, input_schema = true, input_examples = true, schema = true }
-- What is nested less deep is part of the protocol.
local LEAST_OWN_DEPTH = 3
-- Members with pictures, sound and files. No model reads these as text.
local MEDIA = { url = true, image_url = true, file_data = true, data = true }
local NOT_BASE64 = "[^%w+/=_\\-]"
local DATA_URL_HEAD_BYTES = 256
local PART_BYTES = 256 * 1024

local LONGEST_TEXT_BYTES = 4 * 1024 * 1024
local MOST_PLACES = 10000
local PAUSE_VISITS = 500
local PAUSE_BYTES = 256 * 1024

-- The fields that begin with `at_` have a value for each open list or object, by its depth.
local Listener = {}
Listener.__index = Listener

-- Whether the words of an object are a user's, as far as it has been read.
local function is_users(self, depth)
    local role, kind = self.at_role[depth], self.at_type[depth]
    return role == "user" or (role == nil and (kind == nil or kind == "message"))
end

-- The text at some places, joined by blanks.
local function text_at(self, places)
    local texts = {}
    for index, place in ipairs(places) do
        -- Without its quotes.
        local raw = self.view:text_at(place.offset + 1, place.length - 2)
        texts[index] = json_strings.unescape(raw)
    end
    return table_concat(texts, " ")
end

local function length_of(places)
    local length = 0
    for _, place in ipairs(places) do
        length = length + place.length
    end
    return length
end

-- Whether the string at a place is nothing but base64, with or without what stands before it in a data URL.
local function is_base64(self, place)
    local offset, stop = place.offset + 1, place.offset + place.length - 1
    local beginning = self.view:text_at(offset, DATA_URL_HEAD_BYTES)
    offset = offset + (beginning:match("^data:[^,\\]*;base64,()") or 1) - 1
    while offset < stop do
        local part = self.view:text_at(offset, math_min(stop - offset, PART_BYTES))
        if part:find(NOT_BASE64) or part:find("\\[^/]") then
            return false
        end
        offset = offset + #part
    end
    return true
end

-- Visits take time, too.
local function rest(self, bytes)
    self.visits, self.visited = self.visits + 1, self.visited + bytes
    if self.visits >= PAUSE_VISITS or self.visited >= PAUSE_BYTES then
        self.visits, self.visited = 0, 0
        self.pause()
    end
end

-- Passes a text on.
local function tell(self, places, is_spoken)
    if self.result ~= nil then
        return
    end
    if length_of(places) > LONGEST_TEXT_BYTES then
        self.result = self.visit(nil, is_spoken)
        return
    end
    local text = text_at(self, places)
    if text ~= "" then
        self.result = self.visit(text, is_spoken)
        rest(self, #text)
    end
end

-- Passes a text on as soon as it is known whose it is; the object at the depth `owner` tells.
local function hear(self, places, owner)
    if not owner then
        tell(self, places, false)
    elseif self.at_role[owner] ~= nil then
        tell(self, places, is_users(self, owner))
    else
        self.waiting[#self.waiting + 1] = places
        self.is_too_much = self.is_too_much or #self.waiting > MOST_PLACES
    end
end

local function add_part(self, list, place)
    local parts = self.at_parts[list]
    if parts then
        parts[#parts + 1] = place
        self.is_too_much = self.is_too_much or #parts > MOST_PLACES
    end
end

local function hear_place(self, scanner, place)
    local depth = scanner.depth
    if not scanner.is_object[depth] then
        add_part(self, depth, place)
        hear(self, { place }, self.at_owner[depth])
        return
    end
    local name = self.at_name[depth]
    if name == "text" then
        add_part(self, depth - 1, place)
    end
    hear(self, { place }, SPOKEN[name] and not self.at_own[depth] and depth)
end

-- Whether a member of the open object is a word of the protocol.
local function is_word(self, scanner, depth)
    return scanner.is_object[depth] and not self.at_own[depth] and WORDS[self.at_name[depth]]
end

-- Whether a member holds no text. Anthropic's sources have their text and their pictures in `data`, and `type` tells
-- which it is.
local function is_media(self, scanner, depth, name)
    if self.at_own[depth] then
        -- A model reads what a tool gets as text.
        return false
    end
    local is_source = name == "data" and scanner.is_object[depth - 1] and self.at_name[depth - 1] == "source"
    self.at_data[depth] = is_source and self.at_type[depth] == "base64"
    return is_source and self.at_data[depth] or not is_source and MEDIA[name]
end

-- What a member says of its object; false stands for other values than strings.
local function note_word(self, depth, value)
    local name = self.at_name[depth]
    if name == "type" and self.at_data[depth] and value ~= "base64" then
        -- What was taken for a picture may be a text after all.
        self.is_too_much = true
    end
    if name == "role" and self.at_role[depth] ~= "user" then
        self.at_role[depth] = value
    elseif name == "type" then
        self.at_type[depth] = value
    end
end

function Listener:name(scanner, name)
    self.at_name[scanner.depth] = name or ""
end

function Listener:string(scanner, from, to)
    local depth = scanner.depth
    if is_word(self, scanner, depth) then
        note_word(self, depth, scanner:string_at(from, to))
    else
        hear_place(self, scanner, { offset = scanner.base + from - 2, length = to - from + 3 })
    end
end

function Listener:long_string(scanner, _, offset, bytes)
    local depth = scanner.depth
    local place = { offset = offset, length = bytes }
    local name = scanner.is_object[depth] and self.at_name[depth]
    if is_word(self, scanner, depth) then
        note_word(self, depth, "")
    elseif not (is_media(self, scanner, depth, name) and is_base64(self, place)) then
        hear_place(self, scanner, place)
    end
end

function Listener:other(scanner)
    note_word(self, scanner.depth, false)
end

function Listener:open(scanner, is_object)
    local depth = scanner.depth
    local parent = depth - 1
    local name = scanner.is_object[parent] and self.at_name[parent]
    self.at_parts[depth], self.at_owner[depth] = nil, nil
    self.at_own[depth] = self.at_own[parent]
        or (is_object and depth >= LEAST_OWN_DEPTH and OWN[name])
        or false
    if name then
        note_word(self, parent, false)
    end
    if is_object then
        self.at_role[depth], self.at_type[depth], self.at_data[depth] = nil, nil, nil
        self.at_waiting[depth] = #self.waiting
    elseif name then
        self.at_owner[depth] = SPOKEN[name] and not self.at_own[depth] and parent
        self.at_parts[depth] = name == "content" and {} or nil
    else
        self.at_owner[depth] = self.at_owner[parent]
    end
end

function Listener:close(scanner)
    local depth = scanner.depth
    if not scanner.is_object[depth] then
        if self.at_parts[depth] then
            -- A message can come in parts; a pattern may match only all of them together.
            hear(self, self.at_parts[depth], not self.at_own[depth] and depth - 1)
        end
        return
    end
    local waiting = self.waiting
    for index = self.at_waiting[depth] + 1, #waiting do
        tell(self, waiting[index], is_users(self, depth))
        waiting[index] = nil
    end
end

local _M = {
    --- What a model can read at once has a few megabytes at the most.
    LONGEST_TEXT_BYTES = LONGEST_TEXT_BYTES,
}

--- Passes the texts of a JSON body on, one by one, until one has a result:
--
--     {"model":"m","messages":[{"role":"user","content":"Hi"}]} -> visit("Hi", true)
--
-- @param body table as `request_body` makes it
-- @param pause function that is called now and then, to let others work
-- @param visit function(text, is_users) -> result or nil; the text is nil when it has more than 4 MB
-- @return boolean whether all texts could be seen, or had to be
-- @return any the result
function _M.each(body, pause, visit)
    local listener = setmetatable({
        view = view_module.new(body, pause),
        visit = visit,
        pause = pause,
        visits = 0,
        visited = 0,
        result = nil,
        is_too_much = false,
        waiting = {},
        at_data = {},
        at_name = {},
        at_own = {},
        at_owner = {},
        at_parts = {},
        at_role = {},
        at_type = {},
        at_waiting = {},
    }, Listener)
    local _, fault = json_scanner.scan(request_body.pieces(body), listener, pause)
    local is_seen = not fault and not listener.is_too_much
    return is_seen or listener.result ~= nil, listener.result
end

return _M
