"""The prompt guard hears every text of a JSON body and whether it is a user's, however it is written."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

GENERATED = settings(max_examples=many(300), deadline=None, print_blob=True)

EACH = """
local json_texts = require("apisix.plugins.azure-openai.request.json_texts")
local request_body = require("apisix.plugins.azure-openai.request.body")

local function each(body)
    local texts = {}
    local is_seen = json_texts.each(body, function() end, function(text, is_users)
        texts[#texts + 1] = { ngx.encode_base64(text or "too long"), is_users }
    end)
    return { is_seen = is_seen, texts = texts }
end
"""

SPOKEN = ("prompt", "input", "content")
WORDS = ("role", "type", "model")
# What a tool is given, when it is an object and no member of the body itself.
OWN = ("input", "parameters")


def texts_of(
    value: Any, is_spoken: bool = False, is_own: bool = False, depth: int = 1
) -> list[tuple[str, bool]]:
    """The rule once more, on the whole document: texts, each with whether it is a user's words."""
    if isinstance(value, list):
        members: Any = [(None, element) for element in value]
        is_users = False
    else:
        members = value.items()
        role, kind = value.get("role", ...), value.get("type", ...)
        is_users = not is_own and (role == "user" or (role is ... and kind in (..., "message")))
    found = []
    for name, member in members:
        is_said = is_spoken if name is None else is_users and name in SPOKEN
        if isinstance(member, str) and (is_own or name not in WORDS):
            found.append((member, is_said))
        elif isinstance(member, (list, dict)):
            if name == "content" and isinstance(member, list):
                found.append((joined(member), is_users))
            is_given = is_own or (depth > 1 and isinstance(member, dict) and name in OWN)
            found += texts_of(member, is_said, is_given, depth + 1)
    return [(text, is_said) for text, is_said in found if text]


def joined(parts: list[Any]) -> str:
    texts = [part.get("text", part) if isinstance(part, dict) else part for part in parts]
    return " ".join(text for text in texts if isinstance(text, str))


TEXT = st.one_of(
    st.sampled_from(
        ["user", "system", "message", "text", "Hello", "", "a\nb", 'q"\\', "é", "\ud83d", "x" * 5000]
    ),
    st.text(max_size=6),
)
SCALARS = st.one_of(TEXT, TEXT, st.integers(), st.none(), st.booleans())
NAMES = st.sampled_from(
    ["content", "role", "type", "text", "input", "prompt", "messages", "model", "parameters"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=5)),
    max_leaves=25,
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=6)


def plain(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def heard(lua: Lua, body: Any, path: Path | None = None) -> list[tuple[str, bool]]:
    text = json.dumps(body)
    chunk = "return each(request_body.of_text(ngx.decode_base64(text)))"
    if path:
        path.write_text(text)
        path.parent.chmod(0o755)
        chunk = "return each({ path = path, size = size })"
    encoded = base64.b64encode(text.encode()).decode()
    result = lua(EACH + chunk, text=encoded, path=str(path), size=len(text))[0]
    assert result["is_seen"]
    return sorted((base64.b64decode(said).decode(), is_users) for said, is_users in result["texts"] or [])


@given(body=BODIES)
@GENERATED
def test_every_text_is_heard(lua: Lua, body: dict[str, Any]) -> None:
    expected = sorted((plain(text), is_users) for text, is_users in texts_of(body))
    assert heard(lua, body) == expected


@pytest.mark.parametrize("order", [["role", "content"], ["content", "role"]])
@pytest.mark.parametrize(("role", "is_users"), [("user", True), ("system", False)])
def test_the_order_of_members_makes_no_difference(
    lua: Lua, order: list[str], role: str, is_users: bool
) -> None:
    message = {"role": role, "content": "Hi"}
    assert heard(lua, {"messages": [{name: message[name] for name in order}]}) == [("Hi", is_users)]


def test_texts_are_heard_in_a_large_file(lua: Lua, tmp_path: Path) -> None:
    long = "word " * 300_000
    body = {"messages": [{"content": long, "role": "user"}, {"role": "user", "content": [{"text": "Hi"}]}]}
    assert heard(lua, body, tmp_path / "body") == sorted([(long, True), ("Hi", False), ("Hi", True)])


IMAGE = "data:image/png;base64," + "iVBORw0K" * 200_000


@pytest.mark.parametrize("name", ["url", "image_url", "file_data", "data"])
@pytest.mark.parametrize("media", [IMAGE, IMAGE.partition(",")[2]])
def test_pictures_sound_and_files_are_no_texts(lua: Lua, tmp_path: Path, name: str, media: str) -> None:
    assert heard(lua, {"input": [{"x": {name: media}}]}, tmp_path / "body") == []


@pytest.mark.parametrize(
    "member", [{"text": IMAGE}, {"url": IMAGE + " and forbidden words"}, {"url": IMAGE[:4000]}]
)
def test_what_a_model_could_read_is_a_text_everywhere_else(
    lua: Lua, tmp_path: Path, member: dict[str, str]
) -> None:
    assert heard(lua, {"input": [member]}, tmp_path / "body") == [(*member.values(), False)]


def test_a_text_of_more_than_4_mb_is_not_read(lua: Lua) -> None:
    chunk = """
    local text = '{"prompt":"' .. ("word "):rep(1000000) .. '"}'
    return each(request_body.of_text(text))
    """
    assert lua(EACH + chunk)[0]["texts"] == [[base64.b64encode(b"too long").decode(), True]]


@pytest.mark.parametrize(
    "text",
    [
        """'{"input":[' .. ('"a",'):rep(10001) .. '"a"]}'""",
        """'{"content":[' .. ('"a",'):rep(10001) .. '"a"],"role":"user"}'""",
        """'{"input":"a"'""",
    ],
    ids=["waiting", "parts", "broken"],
)
def test_what_cannot_be_heard_whole_is_told(lua: Lua, text: str) -> None:
    assert lua(EACH + f"return each(request_body.of_text({text}))")[0]["is_seen"] is False
