"""O2: a collector holds the sending timer of a worker no longer than a deadline, whatever it sends."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.engines.raw_server import RawServer
from tests.engines.support import Lua
from tests.support.ports import refusing_port

SECONDS = 0.4
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
POST = """
local exchange = require("apisix.plugins.azure-openai.account.otlp_exchange")
local results = {}
for index = 1, times do
    local status, err = exchange.post(url, "/v1/logs", "{}", seconds)
    results[index] = { status = status or 0, err = status and "" or err }
end
return results
"""


def trickle(beginning: bytes, piece: bytes = b"x") -> Iterator[bytes]:
    """Bytes without end, each sooner than any timeout of a socket."""
    yield beginning
    while True:
        time.sleep(SECONDS / 8)
        yield piece


def post(lua: Lua, url: str, times: int = 1, seconds: float = SECONDS) -> list[dict[str, Any]]:
    [results] = lua(POST, url=url, times=times, seconds=seconds)
    return list(results)


@pytest.mark.parametrize(
    "answer",
    [
        trickle(b"HTTP/1.1 "),
        trickle(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        [b""],
    ],
    ids=["a status line that never ends", "headers without end", "silence"],
)
def test_o2_an_answer_that_does_not_begin_in_time_is_none(lua: Lua, answer: Iterable[bytes]) -> None:
    with RawServer([answer, RawServer.HOLD]) as server:
        [result] = post(lua, server.url)
    assert (result["status"], result["err"] != "") == (0, True)


@pytest.mark.parametrize(
    "answer",
    [
        trickle(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"),
        trickle(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        itertools.chain([b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"], itertools.repeat(b"x" * 4096)),
    ],
    ids=["a long body", "chunks without end", "a fast body without end"],
)
def test_o2_the_status_of_an_answer_that_does_not_end_counts(lua: Lua, answer: Iterable[bytes]) -> None:
    """The collector has taken the batch: sent again, it would be there twice."""
    with RawServer([answer]) as server:
        [result] = post(lua, server.url)
    assert result == {"status": 200, "err": ""}


def test_o2_a_connection_is_used_again(lua: Lua) -> None:
    with RawServer([[OK], [OK], [OK]]) as server:
        assert [result["status"] for result in post(lua, server.url, times=3, seconds=5)] == [200] * 3
        assert server.connections == 1


def test_o2_a_connection_is_not_used_again_while_an_answer_goes_on(lua: Lua) -> None:
    long = trickle(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    with RawServer([long], [[OK]]) as server:
        assert [result["status"] for result in post(lua, server.url, times=2)] == [200, 200]
        assert server.connections == 2


def test_o2_a_collector_that_is_not_there_is_an_error(lua: Lua) -> None:
    with refusing_port() as port:
        [result] = post(lua, f"http://127.0.0.1:{port}", seconds=5)
    assert (result["status"], "refused" in result["err"]) == (0, True)
