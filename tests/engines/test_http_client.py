"""The embedded engine's `resty.http`, called inside nginx against a server that sends raw bytes."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.engines.raw_server import Answer, RawServer
from tests.engines.support import Lua

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: t\r\n\r\n"

FETCH = """
local http = require("resty.http").new()
http:set_timeouts(5000, 5000, 5000)
assert(http:connect({ scheme = "http", host = "127.0.0.1", port = port }))
local res, err = http:request(request)
if not res then
    http:close()
    return false, err
end
local body
body, err = res:read_body()
local kept = http:set_keepalive(1000, 1)
return res.status, body or false, err or "", kept, res.has_body, res.reason
"""


def fetch(lua: Lua, *script: Answer, request: dict[str, Any] | None = None) -> list[Any]:
    with RawServer(script) as server:
        return lua(FETCH, port=server.port, request=request or {"path": "/"})


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param(HEAD + b"Content-Length: 5\r\n\r\nhello", "hello", id="content-length"),
        pytest.param(HEAD + b"Content-Length: 0\r\n\r\n", "", id="empty"),
        pytest.param(CHUNKED + CHUNKS, "hello world", id="chunked"),
        pytest.param(CHUNKED + b"0\r\n\r\n", "", id="chunked-empty"),
        pytest.param(
            HEAD + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
            "hello world",
            id="chunked-wins",
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + CHUNKS, "hello world", id="1xx-skipped"),
    ],
)
class TestBodies:
    def test_a_body_is_read_whole(self, lua: Lua, answer: bytes, body: str) -> None:
        assert fetch(lua, [answer], RawServer.HOLD)[:3] == [200, body, ""]

    def test_however_its_bytes_arrive(self, lua: Lua, answer: bytes, body: str) -> None:
        assert fetch(lua, bytewise(answer), RawServer.HOLD)[:3] == [200, body, ""]

    def test_and_the_connection_can_be_kept(self, lua: Lua, answer: bytes, body: str) -> None:
        assert fetch(lua, [answer], RawServer.HOLD)[3] == 1


@pytest.mark.parametrize("path", ["/x?a=1", "/a b", "/x#y", "/<x>"])
def test_a_path_with_a_query_or_characters_that_http_forbids_is_an_error(lua: Lua, path: str) -> None:
    result = fetch(lua, [HEAD + b"Content-Length: 0\r\n\r\n"], request={"path": path})
    assert result[:2] == [False, "invalid characters found in path"]


@pytest.mark.parametrize("size", range(1, 8))
def test_a_body_is_the_same_at_any_read_size(lua: Lua, size: int) -> None:
    chunk = """
    local http = require("resty.http").new()
    http:set_timeouts(5000, 5000, 5000)
    assert(http:connect({ scheme = "http", host = "127.0.0.1", port = port }))
    local res = assert(http:request({ path = "/" }))
    local parts = {}
    for part in res.body_reader, size do
        assert(#part <= size)
        parts[#parts + 1] = part
    end
    http:close()
    return table.concat(parts)
    """
    with RawServer([[CHUNKED + CHUNKS], RawServer.HOLD]) as server:
        assert lua(chunk, port=server.port, size=size) == ["hello world"]


def test_the_start_of_a_chunk_is_handed_out_before_its_end_arrives(lua: Lua) -> None:
    chunk = """
    local http = require("resty.http").new()
    http:set_timeouts(5000, 5000, 5000)
    assert(http:connect({ scheme = "http", host = "127.0.0.1", port = port }))
    local res = assert(http:request({ path = "/" }))
    local first = res.body_reader()
    http:set_timeouts(200, 200, 200)
    local second, err = res.body_reader()
    http:close()
    return first, second or false, err
    """
    with RawServer([[CHUNKED + b"a\r\nhello"], RawServer.HOLD]) as server:
        assert lua(chunk, port=server.port) == ["hello", False, "timeout"]


def test_a_body_without_a_length_ends_with_the_connection_which_is_not_kept(lua: Lua) -> None:
    assert fetch(lua, [HEAD + b"\r\nuntil the end"])[:4] == [200, "until the end", "", 2]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(HEAD + b"Content-Length: 10\r\n\r\nhalf", id="content-length"),
        pytest.param(CHUNKED + b"5\r\nhel", id="in-a-chunk"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n", id="between-chunks"),
        pytest.param(CHUNKED + b"5\r\nhello", id="before-the-end-of-a-chunk"),
        pytest.param(CHUNKED + b"0\r\n", id="in-the-trailer"),
    ],
)
def test_a_truncated_body_is_an_error(lua: Lua, answer: bytes) -> None:
    assert fetch(lua, [answer])[:3] == [200, False, "closed"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "closed"),
        (b"NOT HTTP\r\n\r\n", "malformed status line"),
        (HEAD + b"no colon here\r\n\r\n", "malformed header"),
        (HEAD + b"Content-Length: 5x\r\n\r\n", "malformed Content-Length"),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "malformed Content-Length"),
    ],
)
def test_an_answer_that_is_no_http_is_an_error(lua: Lua, answer: bytes, error: str) -> None:
    assert fetch(lua, [answer])[:2] == [False, error]


def test_a_chunk_size_that_is_no_number_is_an_error(lua: Lua) -> None:
    assert fetch(lua, [CHUNKED + b"zz\r\nhello"])[:3] == [200, False, "malformed chunk size"]


def test_after_an_error_every_further_read_gives_the_same_error(lua: Lua) -> None:
    chunk = """
    local http = require("resty.http").new()
    http:set_timeouts(5000, 5000, 5000)
    assert(http:connect({ scheme = "http", host = "127.0.0.1", port = port }))
    local read = assert(http:request({ path = "/" })).body_reader
    local errors = {}
    for i = 1, 3 do
        errors[i] = select(2, read()) or ""
    end
    http:close()
    return errors
    """
    with RawServer([[HEAD + b"Content-Length: 9\r\n\r\nhalf"]]) as server:
        assert lua(chunk, port=server.port) == [["", "closed", "closed"]]


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", HEAD + b"Content-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_answers_without_a_body(lua: Lua, method: str, answer: bytes) -> None:
    _, body, err, kept, has_body, _ = fetch(lua, [answer], RawServer.HOLD, request={"method": method})
    assert (body, err, kept, has_body) == ("", "", 1, False)


def test_headers_are_found_in_any_spelling_and_repeated_ones_are_lists(lua: Lua) -> None:
    chunk = """
    local http = require("resty.http").new()
    http:set_timeouts(5000, 5000, 5000)
    assert(http:connect({ scheme = "http", host = "127.0.0.1", port = port }))
    local headers = assert(http:request({ path = "/" })).headers
    http:close()
    return headers["x-one"], headers["X_ONE"], headers["set-cookie"], headers["absent"] or false
    """
    answer = HEAD + b"X-One:  1 \r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n"
    with RawServer([[answer], RawServer.HOLD]) as server:
        assert lua(chunk, port=server.port) == ["1", "1", ["a", "b"], False]


def request_of(lua: Lua, request: dict[str, Any]) -> bytes:
    with RawServer([[HEAD + b"Content-Length: 0\r\n\r\n"], RawServer.HOLD]) as server:
        lua(FETCH, port=server.port, request=request)
        return server.requests[0].replace(str(server.port).encode(), b"PORT")


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        ({"path": "/a", "query": "b=1"}, b"GET /a?b=1 HTTP/1.1"),
        ({"path": "/a", "query": "?b=1"}, b"GET /a?b=1 HTTP/1.1"),
        ({"path": "/a", "query": {"b": "x y"}}, b"GET /a?b=x%20y HTTP/1.1"),
        ({"method": "DELETE", "path": "/a%2Fb"}, b"DELETE /a%2Fb HTTP/1.1"),
        ({}, b"GET / HTTP/1.1"),
    ],
)
def test_request_lines(lua: Lua, request_: dict[str, Any], line: bytes) -> None:
    assert request_of(lua, request_).splitlines()[0] == line


def test_a_body_is_sent_with_its_length(lua: Lua) -> None:
    sent = request_of(lua, {"method": "POST", "body": "hello"})
    assert (b"Content-Length: 5\r\n" in sent, sent.endswith(b"\r\n\r\nhello")) == (True, True)


def test_a_list_of_strings_is_one_body(lua: Lua) -> None:
    assert request_of(lua, {"method": "POST", "body": ["hel", "lo"]}).endswith(b"\r\n\r\nhello")


def test_a_post_without_a_body_says_so(lua: Lua) -> None:
    assert b"Content-Length: 0\r\n" in request_of(lua, {"method": "POST"})


def test_headers_given_replace_those_made_up(lua: Lua) -> None:
    sent = request_of(lua, {"headers": {"host": "other", "user-agent": "me", "X-Many": ["1", "2"]}})
    lines = sorted(sent.rstrip().splitlines()[1:])
    assert lines == [b"X-Many: 1", b"X-Many: 2", b"host: other", b"user-agent: me"]


def test_the_host_header_names_a_port_that_is_not_the_default(lua: Lua) -> None:
    assert b"Host: 127.0.0.1:PORT\r\n" in request_of(lua, {})


def test_a_body_from_a_function_is_sent_as_it_is_made(lua: Lua) -> None:
    chunk = """
    local http = require("resty.http").new()
    http:set_timeouts(5000, 5000, 5000)
    assert(http:connect({ scheme = "http", host = "127.0.0.1", port = port }))
    local parts, i = { "he", "llo" }, 0
    assert(http:request({
        method = "POST",
        headers = { ["Content-Length"] = 5 },
        body = function()
            i = i + 1
            return parts[i]
        end,
    }))
    http:close()
    """
    with RawServer([[HEAD + b"Content-Length: 0\r\n\r\n"], RawServer.HOLD]) as server:
        lua(chunk, port=server.port)
        assert server.requests[0].endswith(b"\r\n\r\nhello")


ONCE = """
local http = require("resty.http").new()
http:set_timeouts(5000, 5000, 5000)
assert(http:connect({ scheme = "http", host = "127.0.0.1", port = port, pool = "tests:" .. port }))
local reused = http:get_reused_times()
local res = assert(http:request({ path = "/" }))
if read then
    assert(res:read_body())
end
return (http:set_keepalive(5000, 4)), reused
"""
OK = [HEAD + b"Content-Length: 2\r\n\r\nok"]


@pytest.mark.parametrize(
    ("script", "read", "kept", "reused"),
    [
        pytest.param([OK, OK, RawServer.HOLD], True, 1, 1, id="read-to-the-end"),
        pytest.param([OK, RawServer.HOLD], False, 2, 0, id="body-not-read"),
        pytest.param(
            [[HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"]], True, 2, 0, id="connection-close"
        ),
        pytest.param([[b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"]], True, 2, 0, id="http-1.0"),
    ],
)
def test_a_connection_is_used_again_when_its_answer_allows_it(
    lua: Lua, script: Sequence[Answer], read: bool, kept: int, reused: int
) -> None:
    with RawServer(script) as server:
        first, _ = lua(ONCE, port=server.port, read=read)
        _, second = lua(ONCE, port=server.port, read=read)
    assert (first, second) == (kept, reused)


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again(lua: Lua) -> None:
    with RawServer([OK, RawServer.WAIT], [OK, RawServer.HOLD]) as server:
        lua(ONCE, port=server.port, read=True)
        server.release.set()
        assert server.closed.wait(5)
        assert lua(ONCE, port=server.port, read=True)[1] == 0


def test_a_refused_connection_is_an_error(lua: Lua) -> None:
    chunk = """
    local ok, err = require("resty.http").new():connect({ scheme = "http", host = "127.0.0.1", port = 1 })
    return ok or false, err
    """
    assert lua(chunk) == [False, "connection refused"]


def test_a_name_of_the_hosts_file_can_be_connected_to(lua: Lua) -> None:
    chunk = 'return require("resty.http").new():connect({ scheme = "http", host = "localhost", port = port })'
    with RawServer([RawServer.HOLD]) as server:
        assert lua(chunk, port=server.port)[0] is True


def test_a_whole_request_by_uri(lua: Lua) -> None:
    chunk = """
    local res = assert(require("resty.http").new():request_uri("http://127.0.0.1:" .. port .. "/a?b=1", {}))
    return res.status, res.body
    """
    with RawServer([OK, RawServer.HOLD]) as server:
        assert lua(chunk, port=server.port) == [200, "ok"]
        assert server.requests[0].startswith(b"GET /a?b=1 HTTP/1.1\r\n")
