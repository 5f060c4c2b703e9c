"""Routes and plugin phases work the same on every engine (compare with --engine)."""

import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.engines.support import start


def tracer(name: str, priority: int) -> str:
    """A plugin that notes each of its phases in ctx.trail."""
    return f"""
    local _M = {{ version = 0.1, priority = {priority}, name = "{name}", schema = {{ type = "object" }} }}
    local function note(phase)
        return function(conf, ctx)
            ctx.trail = (ctx.trail or "") .. "{name}." .. phase .. " "
        end
    end
    for _, phase in ipairs({{ "rewrite", "access", "before_proxy" }}) do
        _M[phase] = note(phase)
    end
    return _M
    """


PLUGINS = {
    "first": tracer("first", 20),
    "second": tracer("second", 10),
    "forget": """
    local core = require("apisix.core")
    local _M = { version = 0.1, priority = 15, name = "forget", schema = { type = "object" } }
    function _M.access(conf, ctx)
        core.request.set_header(ctx, "X-First", nil)
    end
    return _M
    """,
    "bypass": """
    local _M = { version = 0.1, priority = 5, name = "bypass", schema = { type = "object" } }
    function _M.access(conf, ctx)
        ctx.bypass_nginx_upstream = true
    end
    function _M.before_proxy(conf, ctx)
        return 200, ctx.trail
    end
    return _M
    """,
    "answer": """
    local core = require("apisix.core")
    local _M = { version = 0.1, priority = 0, name = "answer", schema = { type = "object" } }
    function _M.access(conf, ctx)
        return conf.status or 200, conf.body
    end
    return _M
    """,
    "broken": """
    local _M = { version = 0.1, priority = 0, name = "broken", schema = { type = "object" } }
    function _M.access()
        error("broken on purpose")
    end
    return _M
    """,
    "edit": """
    local core = require("apisix.core")
    local _M = { version = 0.1, priority = 30, name = "edit", schema = { type = "object" } }
    function _M.header_filter(conf, ctx)
        core.response.clear_header_as_body_modified()
        core.response.set_header("X-Edited", "yes")
    end
    function _M.body_filter(conf, ctx)
        local body = core.response.hold_body_chunk(ctx)
        if body then
            ngx.arg[1] = "<" .. body .. ">"
        end
    end
    return _M
    """,
    "torn": """
    local _M = { version = 0.1, priority = 30, name = "torn", schema = { type = "object" } }
    function _M.body_filter()
        error("torn on purpose")
    end
    return _M
    """,
    "note": """
    local core = require("apisix.core")
    local _M = { version = 0.1, priority = 40, name = "note", schema = { type = "object" } }
    function _M.rewrite(conf, ctx)
        ctx.noted = ctx.var.arg_note
    end
    function _M.log(conf, ctx)
        core.log.error("noted ", ctx.noted, " for ", ngx.status)
    end
    return _M
    """,
    "stream": """
    local plugin = require("apisix.plugin")
    local _M = { version = 0.1, priority = 0, name = "stream", schema = { type = "object" } }
    function _M.access(conf, ctx)
        ctx.bypass_nginx_upstream = true
    end
    function _M.before_proxy(conf, ctx)
        for i = 1, 3 do
            assert(plugin.lua_response_filter(ctx, {}, i .. ";", false, true))
        end
    end
    return _M
    """,
    "vars": """
    local core = require("apisix.core")
    local _M = { version = 0.1, priority = 0, name = "vars", schema = { type = "object" } }
    function _M.access(conf, ctx)
        local values = {}
        for _, name in ipairs(conf.names) do
            values[name] = ctx.var[name]
        end
        return 200, values
    end
    return _M
    """,
    "metadata": """
    local plugin = require("apisix.plugin")
    local _M = { version = 0.1, priority = 0, name = "metadata", schema = { type = "object" } }
    function _M.check_schema()
        return true
    end
    function _M.access()
        return 200, plugin.plugin_metadata("metadata").value.text
    end
    return _M
    """,
    "size": """
    local core = require("apisix.core")
    local _M = { version = 0.1, priority = 0, name = "size", schema = { type = "object" } }
    function _M.access(conf, ctx)
        local body, err = core.request.get_body(10, ctx)
        return 200, { read = body, err = err }
    end
    return _M
    """,
    "body": """
    local core = require("apisix.core")
    local _M = { version = 0.1, priority = 0, name = "body", schema = { type = "object" } }
    function _M.access(conf, ctx)
        local body, err = core.request.get_json_request_body_table()
        return 200, body or err
    end
    return _M
    """,
    "forwarded": """
    local core = require("apisix.core")
    local _M = { version = 0.1, priority = 0, name = "forwarded", schema = { type = "object" } }
    function _M.access(conf, ctx)
        local headers = core.request.headers(ctx)
        return 200, {
            proto = headers["x-forwarded-proto"],
            host = headers["x-forwarded-host"],
            forwarded = headers["forwarded"] or "none",
        }
    end
    return _M
    """,
}


def route(uri: str, plugins: dict[str, Any], **fields: Any) -> dict[str, Any]:
    name = fields.pop("id", uri.strip("/*").replace("/", "-"))
    return {"id": name, "uri": uri, "plugins": plugins, **fields}


def says(body: str, **fields: Any) -> dict[str, Any]:
    return {"answer": {"body": body, **fields}}


ROUTES = [
    route("/order", {"first": {}, "second": {}, "bypass": {}}),
    route(
        "/filtered",
        {"first": {"_meta": {"filter": [["http_x_first", "~~", "^yes$"]]}}, "forget": {}, "bypass": {}},
    ),
    route("/table", {"answer": {"body": {"a": "b"}, "status": 418}}),
    route("/broken", {"broken": {}}),
    route("/edit", {"edit": {}, "answer": {"body": "text"}}),
    route("/edit/error", {"edit": {}, "answer": {"body": "why", "status": 403}}),
    route("/edit/empty", {"edit": {}, "answer": {}}),
    route("/edit/stream", {"edit": {}, "stream": {}}),
    route("/edit/broken", {"edit": {}, "broken": {}}),
    route("/edit/body", {"edit": {}, "body": {}}),
    route("/torn", {"torn": {}, "answer": {"body": "text"}}),
    route("/note", {"note": {}, "broken": {}}),
    route("/stream", {"stream": {}}),
    route("/nothing", {"first": {}}),
    route(
        "/vars",
        {"vars": {"names": ["uri", "arg_a", "http_x_b", "request_method", "cookie_c", "route_id", "args"]}},
    ),
    route("/metadata", {"metadata": {}}),
    route("/size", {"size": {}}),
    route("/body", {"body": {}}),
    route("/forwarded", {"forwarded": {}}),
    route("/tree/*", says("prefix"), priority=100),
    route("/tree/exact", says("exact")),
    route("/tree/deep/*", says("deeper prefix"), id="deep"),
    route("/match", says("low"), id="low", priority=1),
    route("/match", says("high"), id="high", priority=2, vars=[["arg_want", "~~", "^high$"]]),
    route("/match", says("posted"), id="posted", priority=3, methods=["POST"]),
]


@pytest.fixture(scope="module")
def gateway(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = tmp_path_factory.mktemp("bundle")
    with start(
        root,
        engine=engine,
        plugins=PLUGINS,
        routes=ROUTES,
        plugin_metadata=[{"id": "metadata", "text": "from the metadata"}, {"id": "not-enabled", "x": 1}],
    ) as started:
        yield started


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url) as opened:
        yield opened


def test_plugins_run_by_priority_phase_by_phase(client: httpx.Client) -> None:
    assert client.get("/order").text.split() == [
        "first.rewrite",
        "second.rewrite",
        "first.access",
        "second.access",
        "first.before_proxy",
        "second.before_proxy",
    ]


@pytest.mark.parametrize("headers", [{}, {"X-First": "no"}])
def test_a_plugin_whose_filter_does_not_hold_does_not_run(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    assert "first" not in client.get("/filtered", headers=headers).text


def test_what_a_filter_decides_holds_for_the_whole_request(client: httpx.Client) -> None:
    trail = client.get("/filtered", headers={"X-First": "yes"}).text.split()
    assert [step for step in trail if "first" in step] == [
        "first.rewrite",
        "first.access",
        "first.before_proxy",
    ]


def test_a_plugin_ends_the_request_with_a_status_and_a_table_as_json(client: httpx.Client) -> None:
    answer = client.get("/table")
    assert (answer.status_code, answer.text) == (418, '{"a":"b"}\n')


def test_an_error_in_a_plugin_is_a_500(client: httpx.Client) -> None:
    assert client.get("/broken").status_code == 500


def test_an_error_in_a_plugin_is_logged(client: httpx.Client, gateway: Gateway) -> None:
    client.get("/broken")
    eventually(lambda: "broken on purpose" in gateway.error_log.read_text())


@pytest.mark.parametrize(
    ("path", "text"),
    [("/edit", "<text>"), ("/edit/error", "<why>"), ("/edit/empty", "<>"), ("/edit/stream", "<1;2;3;>")],
)
def test_filters_change_headers_and_the_held_body(client: httpx.Client, path: str, text: str) -> None:
    answer = client.get(path)
    assert (answer.headers["x-edited"], answer.text) == ("yes", text)


def test_filters_change_headers_and_the_page_for_an_error_in_a_plugin(client: httpx.Client) -> None:
    answer = client.get("/edit/broken")
    assert answer.headers["x-edited"] == "yes"
    assert re.fullmatch(r"<<html>.*500 Internal Server Error.*</html>\s*>", answer.text, re.DOTALL)


def test_filters_change_the_page_for_a_body_that_cannot_be_read(gateway: Gateway) -> None:
    address = httpx.URL(gateway.url)
    head = b"POST /edit/body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((address.host, address.port), timeout=10) as connection:
        connection.sendall(head + b"not a length\r\n")
        answer = connection.makefile("rb").read()
    assert re.match(rb"HTTP/1.1 400 .*<<html>", answer, re.DOTALL)


def test_an_error_in_a_body_filter_breaks_the_answer_off(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/torn")


def test_a_request_that_failed_is_logged_with_its_context(client: httpx.Client, gateway: Gateway) -> None:
    client.get("/note?note=everything")
    eventually(lambda: "noted everything for 500" in gateway.error_log.read_text())


def test_a_streamed_answer_is_sent_piece_by_piece(client: httpx.Client) -> None:
    assert client.get("/stream").text == "1;2;3;"


def test_a_route_without_an_upstream_and_without_an_answer_is_a_503(client: httpx.Client) -> None:
    assert client.get("/nothing").status_code == 503


def test_variables_of_the_request(client: httpx.Client) -> None:
    answer = client.get("/vars?a=1&b=2", headers={"X-B": "x", "Cookie": "c=d"})
    assert answer.json() == {
        "uri": "/vars",
        "arg_a": "1",
        "http_x_b": "x",
        "request_method": "GET",
        "cookie_c": "d",
        "route_id": "vars",
        "args": "a=1&b=2",
    }


def test_metadata_of_a_plugin(client: httpx.Client) -> None:
    assert client.get("/metadata").text == "from the metadata"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"0123456789", {"read": "0123456789"}),
        (b"0123456789a", {"err": "request size 11 is greater than the maximum size 10 allowed"}),
        (b"", {}),
    ],
)
def test_a_body_is_read_up_to_a_limit(client: httpx.Client, body: bytes, answer: dict[str, str]) -> None:
    assert client.post("/size", content=body).json() == answer


def test_a_body_without_a_length_is_limited_too(client: httpx.Client) -> None:
    answer = client.post("/size", content=iter([b"01234567", b"89ab"]))
    assert answer.json() == {"err": "request size 12 is greater than the maximum size 10 allowed"}


def test_a_body_larger_than_nginx_keeps_in_memory_is_read_from_its_file(client: httpx.Client) -> None:
    answer = client.post("/body", json={"text": "x" * 100_000})
    assert len(answer.json()["text"]) == 100_000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "could not get body: request body is empty"),
        (
            b"{",
            "could not parse JSON request body: Expected object key string but found T_END at character 2",
        ),
    ],
)
def test_a_body_that_is_no_json_is_an_error(client: httpx.Client, body: bytes, message: str) -> None:
    assert client.post("/body", content=body).json() == {"message": message}


def test_what_a_client_says_about_forwarding_is_replaced(client: httpx.Client) -> None:
    answer = client.get(
        "/forwarded",
        headers={
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "evil",
            "Forwarded": "for=1",
            "Host": "me:81",
        },
    )
    assert answer.json() == {"proto": "http", "host": "me:81", "forwarded": "none"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tree/exact", "exact"),
        ("/tree/other", "prefix"),
        ("/tree/", "prefix"),
        ("/tree/deep/x", "deeper prefix"),
        ("/match", "low"),
        ("/match?want=high", "high"),
    ],
)
def test_which_route_serves_a_path(client: httpx.Client, path: str, body: str) -> None:
    assert client.get(path).text == body


def test_a_route_serves_its_methods_only(client: httpx.Client) -> None:
    assert client.post("/match").text == "posted"


@pytest.mark.parametrize("path", ["/", "/tree", "/unknown"])
def test_a_path_without_a_route_is_a_404(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error_msg": "404 Route Not Found"})


def test_the_status_port_says_that_the_gateway_is_alive_and_ready(gateway: Gateway) -> None:
    answers = [httpx.get(gateway.status_url), httpx.get(f"{gateway.status_url}/ready")]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"status": "ok"})] * 2
