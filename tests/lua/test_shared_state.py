"""What the bundle takes from Redis is what Redis can say; anything else is nothing."""

from __future__ import annotations

import random

import pytest

from tests.engines.support import Lua
from tests.support.nonsense import Nonsense

WINDOW_MS = 60_000
ASK = """
-- Loaded anew, it does not leave Redis alone because of the answer before.
package.loaded["apisix.plugins.azure-openai.base.shared_state"] = nil
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")
shared_state.use({ host = "127.0.0.1", port = port })
local _, values = pcall(shared_state[name], unpack(arguments))
return type(values), name == "count" and { shared_state[name](unpack(arguments)) } or {}
"""


def reply(dice: random.Random, depth: int = 0) -> bytes:
    """One answer in Redis's protocol, or nearly one."""
    kind = dice.choice(b"*:$+-!") if depth < 4 else dice.choice(b":$+-")
    number = dice.choice(
        (b"-1", b"0", b"1", b"2", b"60000", b"-9", b"1e308", b"nan", b"inf", b"9" * 30, b"x", b"")
    )
    if kind == ord("*"):
        items = [reply(dice, depth + 1) for _ in range(dice.randrange(5))]
        count = dice.choice((b"%d" % len(items), number))
        return b"*%s\r\n%s" % (count, b"".join(items))
    if kind == ord("$"):
        text = dice.choice((number, dice.randbytes(dice.randrange(20))))
        return b"$%s\r\n%s\r\n" % (dice.choice((b"%d" % len(text), number)), text)
    return b"%c%s%s" % (kind, dice.choice((number, dice.randbytes(5))), dice.choice((b"\r\n", b"\n", b"")))


@pytest.mark.parametrize(
    ("name", "arguments", "kinds"),
    [
        ("get_all", [["a", "b"]], {"nil", "table"}),
        ("announced", ["cooldowns"], {"table"}),
        ("count", ["a", 1, WINDOW_MS], {"nil", "number"}),
    ],
)
@pytest.mark.parametrize("seed", range(40))
def test_r4_whatever_redis_answers(
    lua: Lua, name: str, arguments: list[object], kinds: set[str], seed: int
) -> None:
    answer = reply(random.Random(seed))
    with Nonsense([answer]) as server:
        kind, counted = lua(ASK, port=server.port, name=name, arguments=arguments)
    assert kind in kinds, answer
    if counted:
        used, remaining_ms = counted
        assert (0 <= used <= 2**53, 0 <= remaining_ms <= WINDOW_MS) == (True, True), answer
