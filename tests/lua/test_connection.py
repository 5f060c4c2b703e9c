"""F6, T1: connections to backends: TLS is verified, what is kept is clean, what has arrived is handed out."""

from __future__ import annotations

import ssl

import pytest

from tests.engines.raw_server import Answer, RawServer
from tests.engines.support import Lua
from tests.support.certificates import make_certificate

ANSWER = [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]
ASK = """
local connection_module = require("apisix.plugins.azure-openai.attempt.connection")
local http_exchange = require("apisix.plugins.azure-openai.attempt.http_exchange")
local results = {}
for index, verify in ipairs(verified) do
    local server = { scheme = scheme, host = "127.0.0.1", port = port }
    local connection, err, stage = connection_module.open(server, {
        ssl_verify = verify, connect_timeout_ms = 5000, timeout_ms = 5000, is_unpooled = is_unpooled,
    })
    if not connection then
        results[index] = { stage, err }
    else
        local was_pooled = connection.was_pooled
        local response = assert(http_exchange.exchange(connection, server, message))
        results[index] = { response.body and response.body:read_whole(100) or "", was_pooled }
        http_exchange.release(response)
    end
end
return results
"""
GET = {"method": "GET", "target": "/", "headers": {}}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's context with a certificate that the gateway does not trust."""
    return make_certificate(tmp_path_factory.mktemp("tls")).server_context


def ask(
    lua: Lua, server: RawServer, *verified: bool, scheme: str = "http", unpooled: bool = False
) -> list[list[object]]:
    """What each request got: the body and whether its connection was pooled, or what failed and why."""
    values = {"port": server.port, "scheme": scheme, "verified": verified, "is_unpooled": unpooled}
    [results] = lua(ASK, message=GET, **values)
    return list(results)


def test_f3_a_certificate_that_is_not_trusted_is_refused(lua: Lua, tls: ssl.SSLContext) -> None:
    # Some handshakes fail at once, others after a wait.
    with RawServer([ANSWER, RawServer.HOLD], tls=tls) as server:
        results = ask(lua, server, *[True] * 20, scheme="https")
    assert {stage for stage, _ in results} == {"tls"}


def test_f3_a_connection_without_verification_is_not_used_for_a_verified_request(
    lua: Lua, tls: ssl.SSLContext
) -> None:
    with RawServer([ANSWER, RawServer.HOLD], tls=tls) as server:
        first, second = ask(lua, server, False, True, scheme="https")
    assert (first, second[0]) == (["ok", False], "tls")


def test_f6_a_clean_connection_is_used_again(lua: Lua) -> None:
    with RawServer([ANSWER, ANSWER, RawServer.HOLD]) as server:
        assert ask(lua, server, True, True) == [["ok", False], ["ok", True]]


@pytest.mark.parametrize(
    ("fields", "is_pooled"),
    [
        (b"", True),
        (b"content-length: 0\r\n", True),
        (b"content-length: 2\r\n", False),
        (b"transfer-encoding: chunked\r\n", False),
    ],
)
def test_f6_what_a_204_announces_is_never_the_next_answer(lua: Lua, fields: bytes, is_pooled: bool) -> None:
    # The body would come after the next request.
    no_content = [b"HTTP/1.1 204 No Content\r\n" + fields + b"\r\n"]
    with RawServer([no_content, ANSWER, RawServer.HOLD], [ANSWER, RawServer.HOLD]) as server:
        assert ask(lua, server, True, True) == [["", False], ["ok", is_pooled]]


@pytest.mark.parametrize(
    "answer",
    [[ANSWER[0] + b"HTTP/1.1 200 OK\r\n"], [ANSWER[0].replace(b"\r\n", b"\r\nconnection: close\r\n", 1)]],
    ids=["with more than its answer", "that its server closes"],
)
def test_f6_another_connection_is_not(lua: Lua, answer: Answer) -> None:
    with RawServer([answer, RawServer.HOLD]) as server:
        assert ask(lua, server, True, True) == [["ok", False], ["ok", False]]


def test_f6_a_connection_of_a_repeat_is_new_and_not_kept(lua: Lua) -> None:
    with RawServer([ANSWER, RawServer.HOLD]) as server:
        assert ask(lua, server, True, True, unpooled=True) == [["ok", False], ["ok", False]]


def test_t1_a_read_takes_no_more_than_it_asks_for(lua: Lua) -> None:
    chunk = """
    local connection_module = require("apisix.plugins.azure-openai.attempt.connection")
    local connection = connection_module.open(
        { scheme = "http", host = "127.0.0.1", port = port },
        { connect_timeout_ms = 5000, timeout_ms = 5000 }
    )
    connection:put_back("abcde")
    local parts = { connection:receiveany(2), connection:receiveany(2), connection:receiveany(2) }
    connection:close()
    return parts
    """
    with RawServer([RawServer.HOLD]) as server:
        assert lua(chunk, port=server.port) == [["ab", "cd", "e"]]
