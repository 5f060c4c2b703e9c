"""What the gateway finds in a JSON body is what a decoder finds in it, however the body is cut."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

GENERATED = settings(max_examples=many(200), deadline=None, print_blob=True)

READ = """
local json_facts = require("apisix.plugins.azure-openai.request.json_facts")

local function read(text, cuts)
    local from, index = 1, 0
    local function next_piece()
        if from > #text then
            return nil
        end
        index = index + 1
        local piece = text:sub(from, cuts[index] or #text)
        from = from + #piece
        return piece
    end
    local facts, fault = json_facts.read(next_piece, function() end)
    for _, member in pairs(facts and facts.members or {}) do
        if member.kind == "number" then
            member.value = ("%.17g"):format(member.value)
        end
    end
    return facts or fault
end
return read(ngx.decode_base64(text), cuts)
"""


def read(lua: Lua, text: bytes, cuts: Sequence[int] = ()) -> dict[str, Any]:
    facts: dict[str, Any] = lua(READ, text=base64.b64encode(text).decode(), cuts=list(cuts))[0]
    return facts


def facts_of(lua: Lua, **members: Any) -> dict[str, Any]:
    return read(lua, json.dumps(members).encode())


class Pairs(list[Any]):
    """The members of an object, in their order."""


class Number(str):
    """A number as it was written."""


KEPT = [
    "background",
    "best_of",
    "input",
    "max_tokens",
    "messages",
    "model",
    "n",
    "store",
    "stream",
    "stream_options",
    "tools",
]
OWN = {"metadata", "schema", "input_schema", "item_schema"}
CONTENT = {"messages", "input", "prompt", "metadata"}
REFERENCES = ["previous_response_id", "conversation", "file_id", "file_ids"]
NESTED = {"file_id", "file_ids", "vector_store_ids", "container"}
NAMES = [
    *KEPT,
    *NESTED,
    "model",
    "Model",
    "deployment_name",
    "id",
    "type",
    "session",
    "input_audio_transcription",
]
NAMES += ["metadata", "parameters", "schema", "role", "x", "MODEL", "encrypted_content"]


def plain(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


class Model:
    """The rules of the facts once more, on the whole document."""

    def __init__(self, document: Pairs) -> None:
        self.document = document
        self.deployments: list[str] = []
        self.ambiguous: str | None = None
        self.names_session = False
        self.top: dict[str, list[str]] = {}
        self.nested: list[str] = []
        self.items: list[dict[str, Any]] = []
        self.walk_object(document, path=(), content=False, naming=False, own=False, tools=False, ids=None)

    def ids(self, path: tuple[Any, ...], name: str, own: bool) -> list[str] | None:
        if not path and name in REFERENCES:
            return self.top.setdefault(name, [])
        return self.nested if name in NESTED and not own else None

    def walk_object(
        self, value: Pairs, *, path: Any, content: bool, naming: bool, own: bool, tools: bool, ids: Any
    ) -> None:
        seen: set[str] = set()
        texts: dict[str, list[str]] = {}
        for name, member in value:
            name = plain(name)
            if not content:
                if not own:
                    self.doubt(name, name.lower() in seen)
                seen.add(name.lower())
            if isinstance(member, str) and not isinstance(member, Number):
                text = plain(member)
                if not content:
                    self.name_deployment(path, name, text, naming)
                target = self.ids(path, name, own)
                if target is not None:
                    target.append(text)
                texts.setdefault(name, []).append(text)
            inside = {
                "content": content or (not path and name in CONTENT),
                "naming": naming or name.lower() in ("session", "tools") or "transcription" in name.lower(),
                "own": own or name in OWN or (tools and name == "parameters"),
                "tools": tools or name in ("tools", "functions"),
                "ids": self.ids(path, name, own),
            }
            self.walk(member, path=(*path, name), **inside)
        if path and not own:
            says = any(plain(name) in ("role", "content") for name, _ in value)
            self.refer(path, texts, says, ids)

    def walk(self, value: Any, *, path: Any, **inside: Any) -> None:
        if isinstance(value, Pairs):
            self.walk_object(value, path=path, **inside)
        elif isinstance(value, list):
            for element in value:
                if isinstance(element, str) and not isinstance(element, Number) and inside["ids"] is not None:
                    inside["ids"].append(plain(element))
                self.walk(element, path=(*path, 0), **inside)

    def doubt(self, name: str, condition: bool) -> None:
        if condition and self.ambiguous is None:
            self.ambiguous = name

    def name_deployment(self, path: Any, name: str, text: str, naming: bool) -> None:
        folded = name.lower()
        is_naming = folded == "deployment_name" or (folded == "model" and naming)
        if is_naming and text and text not in self.deployments:
            self.deployments.append(text)
        self.doubt(name, name != folded and (is_naming or (folded == "model" and not path)))
        self.names_session = self.names_session or (path == ("session",) and name == "model")

    def refer(self, path: Any, texts: dict[str, list[str]], says: bool, ids: list[str] | None) -> None:
        types, named = texts.get("type", []), texts.get("id", [])
        sealed = [text for text in texts.get("encrypted_content", []) if text]
        refers = bool({"item_reference", "file_id"} & set(types))
        is_item = len(path) == 2 and path[0] == "input" and path[1] == 0
        is_bare = not sealed if types and types[-1] in ("reasoning", "compaction") else not types and not says
        for id, _ in itertools.groupby(named):
            if refers or (is_item and is_bare):
                self.nested.append(id)
            elif ids is not None:
                ids.append(id)
        if is_item and not refers and (named or sealed):
            last = {"id": named, "type": types, "seal": sealed}
            self.items.append({kind: found[-1] for kind, found in last.items() if found})

    @property
    def references(self) -> list[str]:
        found = [id for name in REFERENCES for id in self.top.get(name, [])] + self.nested
        return [id for id in found if id]

    def members(self, text: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, value in self.document:
            if plain(name) in KEPT:
                yield plain(name), described(value)


def described(value: Any) -> dict[str, Any]:
    """A member without its place."""
    match value:
        case Number():
            return {"kind": "number", "value": format(float(value), ".17g")}
        case str():
            return {"kind": "string", "value": plain(value)}
        case Pairs():
            return {"kind": "object"}
        case list():
            return {"kind": "list"}
        case bool():
            return {"kind": json.dumps(value), "value": value}
        case _:
            return {"kind": "null"}


WORDS = st.sampled_from(
    ["a", "gpt-4o", "item_reference", "file_id", "reasoning", "file-1", "rs_1", "", "é\ud83d", '"\\']
)
SCALARS = st.one_of(
    WORDS, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=4).map(Pairs),
        st.just(Pairs([("type", "item_reference"), ("id", "rs_2")])),
    ),
    max_leaves=25,
)
BODIES = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6).map(Pairs)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A body as JSON; names may stand twice, and be written with escapes."""
    escapes, comma, colon = (
        draw(st.booleans()),
        draw(st.sampled_from([",", ", ", " ,\n"])),
        draw(st.sampled_from([":", ": "])),
    )

    def name_of(name: str) -> str:
        text = json.dumps(name)
        return text.replace("o", "\\u006f").replace("i", "\\u0069") if escapes else text

    def write(value: Any) -> str:
        match value:
            case Pairs():
                return "{" + comma.join(name_of(name) + colon + write(member) for name, member in value) + "}"
            case list():
                return "[" + comma.join(map(write, value)) + "]"
            case _:
                return json.dumps(value)

    return write(draw(BODIES)).encode()


CUTS = st.lists(st.integers(1, 300), max_size=12, unique=True).map(sorted)


@given(text=written(), cuts=CUTS)
@settings(GENERATED, max_examples=many(400))
def test_every_fact_is_what_a_decoder_finds(lua: Lua, text: bytes, cuts: list[int]) -> None:
    facts = read(lua, text, cuts)
    model = Model(json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number))
    members = dict(model.members(text))
    assert {
        name: {key: value for key, value in member.items() if key in ("kind", "value")}
        for name, member in (facts["members"] or {}).items()
    } == members
    assert (facts["deployments"] or []) == model.deployments
    assert (facts.get("ambiguous"), facts["names_session"]) == (model.ambiguous, model.names_session)
    assert (facts["references"] or []) == model.references
    assert (facts["items"] or []) == model.items[-16:]
    assert facts["is_empty"] is (not model.document)


@given(text=written(), cuts=CUTS)
@GENERATED
def test_a_member_lies_where_it_is_said_to_lie(lua: Lua, text: bytes, cuts: list[int]) -> None:
    facts = read(lua, text, cuts)
    document = json.loads(text)
    for name, member in (facts["members"] or {}).items():
        raw = text[member["offset"] : member["offset"] + member["length"]]
        assert json.loads(raw) == document[name]
    assert text[: facts["head"]].strip() == b"{"


KEEP = """
local core, facts = require("apisix.core"), require("apisix.plugins.azure-openai.request.json_facts")
local held, before = {}, {}
for index, text in ipairs(texts) do
    held[index] = facts.read(ngx.decode_base64(text), function() end) or {}
    before[index] = core.json.stably_encode(held[index])
end
for index in ipairs(texts) do
    if core.json.stably_encode(held[index]) ~= before[index] then
        return false
    end
end
return true
"""


NAMING = b"""{"input": [{"type": "message", "id": "msg_1"}, {"type": "input_file", "file_id": "file-1"}],
"previous_response_id": "resp_1", "metadata_id": "other", "session": {"model": "gpt-4o"}}"""


@given(texts=st.lists(written() | st.sampled_from([b"{}", NAMING]), min_size=2, max_size=8))
@GENERATED
def test_a9_the_facts_of_one_body_stay_what_they_were(lua: Lua, texts: list[bytes]) -> None:
    # Bodies of many clients are read one after the other, with the same tables.
    assert lua(KEEP, texts=[base64.b64encode(text).decode() for text in texts]) == [True]


@given(text=written())
@settings(GENERATED, max_examples=many(30))
def test_the_facts_are_the_same_for_a_cut_at_every_byte(lua: Lua, text: bytes) -> None:
    assert read(lua, text, range(1, len(text))) == read(lua, text)


@pytest.mark.parametrize("text", [b"[]", b"1", b'"x"', b"null", b'[{"model":"a"}]'])
def test_what_is_no_object_has_no_facts(lua: Lua, text: bytes) -> None:
    assert not read(lua, text)


@pytest.mark.parametrize(
    ("text", "ambiguous"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"\\u006dodel":"a","model":"b"}', "model"),
        (b'{"temperature":1,"temperature":1}', "temperature"),
        (b'{"model":"a","Model":"b"}', "Model"),
        (b'{"Model":"a"}', "Model"),
        (b'{"session":{"MODEL":"a"}}', "MODEL"),
        (b'{"data_sources":[{"parameters":{"Deployment_Name":"a"}}]}', "Deployment_Name"),
        (b'{"tools":[{"type":"x","type":"y"}]}', "type"),
        (b'{"Tools":[{"model":"a"}],"tools":[]}', "tools"),
    ],
)
def test_members_that_can_be_read_in_two_ways_are_told(lua: Lua, text: bytes, ambiguous: str) -> None:
    assert read(lua, text)["ambiguous"] == ambiguous


@pytest.mark.parametrize(
    "text",
    [
        b'{"model":"a","messages":[{"content":"x","content":"y","Model":"z"}]}',
        b'{"metadata":{"Model":"x","a":1,"a":2}}',
        b'{"tools":[{"function":{"parameters":{"properties":{"Model":{"type":"string"},"model":{}}}}}]}',
        b'{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}',
        b'{"user":{"Model":"x"}}',
    ],
)
def test_what_cannot_name_a_deployment_is_not_ambiguous(lua: Lua, text: bytes) -> None:
    assert "ambiguous" not in read(lua, text)


@pytest.mark.parametrize("name", ["tools", "TOOLS", "session", "input_audio_transcription"])
def test_a_deployment_is_found_below_its_parents_in_any_case(lua: Lua, name: str) -> None:
    assert facts_of(lua, **{name: [{"x": {"model": "o1"}}]})["deployments"] == ["o1"]


@pytest.mark.parametrize(("members", "is_clear"), [(9_000, True), (11_000, False)])
def test_with_too_many_members_it_is_not_told_which_deployments_are_named(
    lua: Lua, members: int, is_clear: bool
) -> None:
    facts = facts_of(lua, tools=[{"x": number} for number in range(members)])
    assert ("deployments" in facts) is is_clear


def test_with_too_many_deployments_it_is_not_told_either(lua: Lua) -> None:
    assert "deployments" not in facts_of(lua, tools=[{"model": str(number)} for number in range(101)])


@pytest.mark.parametrize(
    "members",
    [
        {
            "tools": [
                {
                    "type": "function",
                    "parameters": {"properties": {"file_id": {"enum": ["file-1"]}}, "file_id": "file-1"},
                }
            ]
        },
        {"tools": [{"function": {"parameters": {"default": {"file_ids": ["file-1"]}}}}]},
        {"text": {"format": {"schema": {"container": "file-1"}}}},
        {"response_format": {"json_schema": {"schema": {"examples": [{"file_id": "file-1"}]}}}},
        {"metadata": {"file_id": "file-1"}},
        {"messages": [{"metadata": {"type": "item_reference", "id": "file-1"}}]},
        {"file_id": "f" * 513},
    ],
)
def test_a_clients_own_schemas_and_data_refer_to_nothing(lua: Lua, members: dict[str, Any]) -> None:
    assert not facts_of(lua, **members)["references"]


ASKED = [
    {"role": "system", "content": "s"},
    {"content": "u", "role": "user"},
    {"role": "user", "content": "v"},
]
ANSWERS: list[dict[str, Any]] = [
    {"role": "assistant", "content": "a"},
    {"type": "function_call", "name": "f", "arguments": "{}"},
]


@pytest.mark.parametrize("name", ["messages", "input"])
@pytest.mark.parametrize(
    "later", [[], *([answer, *ASKED] for answer in ANSWERS)], ids=["none", "text", "call"]
)
def test_b5_what_was_asked_before_the_first_answer(lua: Lua, name: str, later: list[dict[str, Any]]) -> None:
    text = json.dumps({name: [*ASKED, *later]}).encode()
    facts = read(lua, text)
    asked = [text[: facts[end]].count(b"role") for end in ("first_user_end", "asked_end")]
    assert asked == [2, 3]


def test_the_last_16_items_are_kept(lua: Lua) -> None:
    items = [{"type": "message", "id": f"msg_{number}"} for number in range(40)]
    facts = facts_of(lua, input=items)
    assert [item["id"] for item in facts["items"]] == [f"msg_{number}" for number in range(24, 40)]


@pytest.mark.parametrize("count", [16, 2048, 2049, 5000])
def test_at_most_2048_references_are_kept_and_more_are_told(lua: Lua, count: int) -> None:
    ids = [f"file-{number}" for number in range(count)]
    facts = facts_of(lua, file_ids=ids)
    assert facts["references"] == ids[:2048]
    assert facts["has_more_references"] is (count > 2048)


@pytest.mark.parametrize(
    ("members", "has_tokens"),
    [
        ({"prompt": [1, 2]}, True),
        ({"input": [[1], [2]]}, True),
        ({"input": [[], [2]]}, True),
        ({"input": ["a", "b"]}, False),
        ({"input": [{"x": [1]}], "seed": 1, "logit_bias": {"50256": -100}}, False),
        ({"x": [1]}, False),
    ],
)
def test_prompts_in_numbers_are_told(lua: Lua, members: dict[str, Any], has_tokens: bool) -> None:
    assert facts_of(lua, **members)["has_tokens"] is has_tokens


@pytest.mark.parametrize("size", [100, 10_000, 300_000])
def test_bytes_of_data_urls_are_counted(lua: Lua, size: int) -> None:
    url = "data:image/png;base64," + "A" * size
    facts = facts_of(lua, messages=[{"content": [{"image_url": {"url": url}}, {"text": "data:;base64" * 9}]}])
    # Of a long string the quotes are counted, too.
    assert facts["base64_bytes"] - len(url) in (0, 2)


@pytest.mark.parametrize("value", ["m" * 4096, "m" * 100_000])
def test_a_long_value_is_kept_by_its_beginning(lua: Lua, value: str) -> None:
    member = facts_of(lua, model=value)["members"]["model"]
    assert (member["length"], member["value"]) == (len(value) + 2, "m" * 4096)
