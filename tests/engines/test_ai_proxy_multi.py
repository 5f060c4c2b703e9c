"""ai-proxy-multi with one instance behaves the same on every engine (compare with --engine)."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scripts.engines import EngineError, Gateway
from tests.engines.support import start

HOOK = """
local apisix = require("apisix")
local providers = require("apisix.plugins.ai-providers.schema").providers
local transport = require("apisix.plugins.ai-transport.http")
providers[#providers + 1] = "fake"
function transport.request(params)
    return params.response
end
return apisix
"""

DRIVER = """
local core = require("apisix.core")
local plugin = require("apisix.plugin")

local _M = {
    capabilities = {
        ["openai-chat"] = {},
        ["openai-responses"] = {},
        ["openai-embeddings"] = {},
        ["passthrough"] = {},
    },
}

local calls

function _M.build_body(self, body, opts)
    calls = { "build_body " .. opts.target_protocol }
    if body.shape then
        body.shaped = true
        return body, true
    end
    return body, false
end

function _M.build_request(self, conf, body, opts)
    calls[#calls + 1] = "build_request " .. type(body)
    if type(body) == "string" and body:find("refuse_with", 1, true) then
        return nil, "refused", tonumber(body:match("refuse_with.-(%d+)"))
    end
    local response = core.json.decode(core.request.header(ngx.ctx.api_ctx, "x-response"))
    response.sent = type(body) == "table" and core.json.encode(body) or body
    response.body_reader = true
    function response.read_body()
        return response.body
    end
    return { response = response }
end

local function answer(name, ctx, res, protocol, converter, conf)
    calls[#calls + 1] = name .. " " .. type(protocol) .. " " .. tostring(converter) .. " " .. conf.timeout
    ngx.status = res.status
    core.response.set_header("X-Calls", table.concat(calls, "; "))
    core.response.set_header("X-Sent", ngx.encode_base64(res.sent))
    plugin.lua_response_filter(ctx, res.headers, res:read_body())
end

function _M.parse_response(self, ctx, res, protocol, converter, conf)
    if res.headers["X-Fail"] then
        return nil, "cannot be parsed", tonumber(res.headers["X-Fail"])
    end
    answer("parse_response", ctx, res, protocol, converter, conf)
    return {}
end

function _M.parse_streaming_response(self, ctx, res, protocol, converter, conf)
    answer("parse_streaming_response", ctx, res, protocol, converter, conf)
end

return _M
"""

SHOW = """
local core = require("apisix.core")
local _M = { version = 0.1, priority = 1, name = "show", schema = { type = "object" } }
function _M.header_filter(conf, ctx)
    core.response.set_header("X-Protocol", tostring(ctx.ai_client_protocol))
    core.response.set_header("X-Type", ctx.var.request_type)
    core.response.set_header("X-Model", ctx.var.llm_model)
    core.response.set_header("X-Source", core.response.get_response_source(ctx))
    core.response.set_header("X-Instance", tostring(ctx.picked_ai_instance_name))
end
return _M
"""

INSTANCE = {"name": "only", "provider": "fake", "weight": 1, "auth": {}}
TOO_LARGE = "request size 1017 is greater than the maximum size 1000 allowed"
CHAT = {"model": "gpt", "messages": []}


def options(**ai_proxy: Any) -> dict[str, Any]:
    block = {
        "instances": [INSTANCE],
        "max_req_body_size": 1000,
        "timeout": 2000,
        "keepalive": False,
        **ai_proxy,
    }
    return {
        "plugins": {"fake/hook": HOOK, "ai-providers/fake": DRIVER, "show": SHOW},
        "stock": ("ai-proxy-multi", "prometheus"),  # APISIX loads the first only with the second
        "hook": "apisix.plugins.fake.hook",
        "routes": [{"id": "ai", "uri": "/*", "plugins": {"ai-proxy-multi": block, "show": {}}}],
    }


@pytest.fixture(scope="module")
def gateway(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with start(tmp_path_factory.mktemp("bundle"), engine=engine, **options()) as started:
        yield started


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=10) as opened:
        yield opened


def ask(
    client: httpx.Client, path: str = "/x", body: Any = CHAT, *, status: int = 200, **headers: str
) -> httpx.Response:
    """Posts a request; the driver's backend answers with `{}`, this status and these headers."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    response = {"status": status, "headers": {"Content-Type": "application/json", **named}, "body": "{}"}
    content = body if isinstance(body, bytes) else json.dumps(body)
    given = {"Content-Type": "application/json", "X-Response": json.dumps(response)}
    return client.post(path, content=content, headers=given)


def sent(answer: httpx.Response) -> bytes:
    """The body that the driver's backend got."""
    return base64.b64decode(answer.headers["x-sent"])


def test_the_driver_is_called_in_order_with_the_documented_arguments(client: httpx.Client) -> None:
    assert ask(client).headers["x-calls"].split("; ") == [
        "build_body openai-chat",
        "build_request string",
        "parse_response table nil 2000",
    ]


def test_a_body_that_the_driver_leaves_alone_is_sent_byte_for_byte(client: httpx.Client) -> None:
    raw = b'{ "messages":[], "n": 12345678901234567890 }'
    assert sent(ask(client, body=raw)) == raw


def test_a_body_that_the_driver_shapes_is_sent_as_json(client: httpx.Client) -> None:
    assert b'"shaped":true' in sent(ask(client, body={**CHAT, "shape": 1}))


def test_an_event_stream_goes_to_the_driver_as_such(client: httpx.Client) -> None:
    answer = ask(client, content_type="text/event-stream")
    assert "parse_streaming_response table nil" in answer.headers["x-calls"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_429_or_5xx_is_passed_on_without_the_driver(client: httpx.Client, status: int) -> None:
    answer = ask(client, status=status, content_type="application/problem+json")
    found = (answer.status_code, answer.text, answer.headers["content-type"], "x-calls" in answer.headers)
    assert found == (status, "{}", "application/problem+json", False)


def test_any_other_status_goes_to_the_driver(client: httpx.Client) -> None:
    answer = ask(client, status=404)
    assert (answer.status_code, "parse_response" in answer.headers["x-calls"]) == (404, True)


def test_an_answer_without_a_body_goes_to_the_driver(client: httpx.Client) -> None:
    assert ask(client, status=204).status_code == 204


def test_a_driver_that_refuses_to_build_a_request_decides_the_status(client: httpx.Client) -> None:
    answer = ask(client, body={**CHAT, "refuse_with": 409})
    assert (answer.status_code, answer.json()) == (409, {"error_msg": "refused"})


def test_a_driver_that_cannot_parse_an_answer_decides_the_status(client: httpx.Client) -> None:
    answer = ask(client, x_fail="507")
    assert (answer.status_code, answer.text) == (507, "cannot be parsed")


@pytest.mark.parametrize(
    ("path", "body", "protocol"),
    [
        ("/x", {"messages": []}, "openai-chat"),
        ("/x", {"messages": [], "input": "x"}, "openai-chat"),
        ("/openai/v1/responses", {"input": "x"}, "openai-responses"),
        ("/openai/responses", {"input": "x"}, "openai-embeddings"),
        ("/x", {"input": ["x"]}, "openai-embeddings"),
        ("/x", {"prompt": "x"}, "passthrough"),
    ],
)
def test_the_protocol_is_judged_by_path_and_body(
    client: httpx.Client, path: str, body: dict[str, Any], protocol: str
) -> None:
    assert ask(client, path, body).headers["x-protocol"] == protocol


@pytest.mark.parametrize(
    ("body", "kind"),
    [({**CHAT, "stream": True}, "ai_stream"), (CHAT, "ai_chat"), ({"input": 1, "stream": True}, "ai_chat")],
)
def test_whether_a_stream_is_asked_for(client: httpx.Client, body: dict[str, Any], kind: str) -> None:
    assert ask(client, body=body).headers["x-type"] == kind


def test_the_model_the_source_and_the_instance_are_known_to_other_plugins(client: httpx.Client) -> None:
    headers = ask(client).headers
    assert [headers[name] for name in ("x-model", "x-source", "x-instance")] == ["gpt", "upstream", "only"]


@pytest.mark.parametrize(
    ("content", "content_type", "status", "answer"),
    [
        (
            b"x=1",
            "text/plain",
            400,
            "unsupported content-type: text/plain, only application/json is supported",
        ),
        (b"", "application/json", 400, {"message": "could not get body: request body is empty"}),
        (b"{}", "application/json", 400, "no matching AI protocol for the request"),
        (
            b'{"messages":["' + b"x" * 1000 + b'"]}',
            "application/json",
            413,
            {"message": f"could not get body: {TOO_LARGE}"},
        ),
    ],
)
def test_requests_that_are_refused_before_the_driver(
    client: httpx.Client, content: bytes, content_type: str, status: int, answer: Any
) -> None:
    found = client.post("/x", content=content, headers={"Content-Type": content_type})
    expected = answer if isinstance(answer, str) else found.json() == answer and found.text
    assert (found.status_code, found.text) == (status, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instances": [INSTANCE, {**INSTANCE, "name": "other"}]}, "at most 1 items"),
        ({"fallback_strategy": ["http_429"]}, "fallback_strategy is not offered"),
        ({"instances": [{**INSTANCE, "provider": "unheard-of"}]}, "matches none of the enum values"),
        ({"instances": []}, "at least 1 items"),
        ({"timeout": 600_001}, "at most 600000"),
    ],
)
def test_the_embedded_engine_refuses_what_it_does_not_offer(
    tmp_path_factory: pytest.TempPathFactory, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        start(tmp_path_factory.mktemp("bundle"), **options(**change)).stop()
