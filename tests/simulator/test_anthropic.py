"""The Anthropic surface of a Foundry resource: its messages, its streams and its errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.simulator import Latency, Quota, Simulator
from tests.simulator.sse import datas, documents

PATH = "/anthropic/v1/messages"
VERSION = {"anthropic-version": "2023-06-01"}
BODY: dict[str, Any] = {
    "model": "claude",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello there"}],
}
STREAMED = {**BODY, "stream": True}
TOOLS = {"tools": [{"name": "weather", "input_schema": {"type": "object"}}]}
THINKING = {"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 2000}}


@pytest.fixture
def claude(sim: Simulator) -> Iterator[httpx.Client]:
    headers = {"api-key": "key-east", **VERSION}
    with httpx.Client(base_url=sim.endpoint("eastus"), headers=headers, trust_env=False) as client:
        yield client


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["type"]


def rebuilt(answer: httpx.Response) -> dict[str, Any]:
    """The message that a client puts together from the events of a stream."""
    message: dict[str, Any] = {}
    for event in documents(answer):
        if event["type"] == "message_start":
            message = event["message"]
        elif event["type"] == "content_block_start":
            message["content"].append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            add_delta(message["content"][event["index"]], event["delta"])
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] |= event["usage"]
    for block in message["content"]:
        written = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(written)
    return message


def add_delta(block: dict[str, Any], delta: dict[str, str]) -> None:
    for kind, source, target in (
        ("text_delta", "text", "text"),
        ("thinking_delta", "thinking", "thinking"),
        ("signature_delta", "signature", "signature"),
        ("input_json_delta", "partial_json", "json"),
    ):
        if delta["type"] == kind:
            block[target] += delta[source]


# --- answers ----------------------------------------------------------------------------------------------


def test_s6_a_message_has_the_surfaces_shape(claude: httpx.Client) -> None:
    message = claude.post(PATH, json=BODY).json()
    assert message["id"].startswith("msg_")
    assert (message["type"], message["role"], message["model"]) == ("message", "assistant", "claude")
    assert message["content"][0]["text"].startswith("eastus/claude#1: hello there")
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)


def test_s6_usage_counts_input_and_output(claude: httpx.Client) -> None:
    usage = claude.post(PATH, json=BODY).json()["usage"]
    assert usage["input_tokens"] == 4 + 3 + 3
    assert usage["output_tokens"] == 16
    assert (usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]) == (0, 0)


def test_s6_max_tokens_cut_the_answer(claude: httpx.Client) -> None:
    message = claude.post(PATH, json={**BODY, "max_tokens": 3}).json()
    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("max_tokens", 3)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
def test_s6_a_forced_tool_is_used(claude: httpx.Client, choice: dict[str, str]) -> None:
    message = claude.post(PATH, json={**BODY, **TOOLS, "tool_choice": choice}).json()
    block = message["content"][0]
    assert (message["stop_reason"], block["type"], block["name"]) == ("tool_use", "tool_use", "weather")
    assert "hello there" in block["input"]["text"]


@pytest.mark.parametrize("choice", [{}, {"tool_choice": {"type": "auto"}}, {"tool_choice": {"type": "none"}}])
def test_s6_a_tool_that_is_not_forced_is_not_used(claude: httpx.Client, choice: dict[str, Any]) -> None:
    assert claude.post(PATH, json={**BODY, **TOOLS, **choice}).json()["content"][0]["type"] == "text"


@pytest.mark.parametrize("thinking", [THINKING, {"thinking": {"type": "adaptive"}}])
def test_s6_thinking_comes_before_the_text(claude: httpx.Client, thinking: dict[str, Any]) -> None:
    message = claude.post(PATH, json={**BODY, **thinking}).json()
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]
    assert message["content"][0]["signature"]


def test_s6_system_text_and_tools_are_input(claude: httpx.Client) -> None:
    plain = claude.post(PATH, json=BODY).json()["usage"]["input_tokens"]
    system = [{"type": "text", "text": "be brief"}]
    more = claude.post(PATH, json={**BODY, **TOOLS, "system": system}).json()["usage"]["input_tokens"]
    assert more > plain + 2


def test_s6_a_conversation_with_tools_is_accepted(claude: httpx.Client) -> None:
    turns = [
        *BODY["messages"],
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}]},
    ]
    assert claude.post(PATH, json={**BODY, **TOOLS, "messages": turns}).status_code == 200


def test_s6_counting_tells_what_a_message_would_report(claude: httpx.Client) -> None:
    body = {**BODY, **TOOLS, "system": "be brief"}
    counted = claude.post(
        f"{PATH}/count_tokens", json={name: body[name] for name in body if name != "max_tokens"}
    )
    assert counted.json() == {"input_tokens": claude.post(PATH, json=body).json()["usage"]["input_tokens"]}


def test_s6_models_are_the_deployments(west: httpx.Client) -> None:
    models = west.get("/anthropic/v1/models", headers=VERSION).json()
    assert [model["id"] for model in models["data"]] == ["gpt-4o", "text-embedding-3-small", "small"]
    assert models["has_more"] is False


def test_s6_one_model(west: httpx.Client) -> None:
    assert west.get("/anthropic/v1/models/small", headers=VERSION).json()["type"] == "model"
    assert error_of(west.get("/anthropic/v1/models/absent", headers=VERSION)) == (404, "not_found_error")


def test_s6_the_call_is_recorded_with_its_deployment(sim: Simulator, claude: httpx.Client) -> None:
    claude.post(PATH, json=BODY)
    record = sim.requests("eastus")[0]
    assert (record.path, record.deployment, record.status) == (PATH, "claude", 200)


def test_s6_answers_name_the_request(claude: httpx.Client) -> None:
    headers = claude.post(PATH, json=BODY).headers
    assert headers["request-id"].startswith("req_")
    assert headers["apim-request-id"]


# --- streams ----------------------------------------------------------------------------------------------


def test_s6_the_events_of_a_stream(claude: httpx.Client) -> None:
    events = [event["type"] for event in documents(claude.post(PATH, json=STREAMED))]
    assert events == [
        "message_start",
        "ping",
        "content_block_start",
        *["content_block_delta"] * 16,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_s6_each_event_has_its_type_as_its_name(claude: httpx.Client) -> None:
    answer = claude.post(PATH, json=STREAMED)
    names = [line.removeprefix("event: ") for line in answer.text.split("\n") if line.startswith("event: ")]
    assert names == [event["type"] for event in documents(answer)]


@pytest.mark.parametrize(
    "more",
    [{}, THINKING, {**TOOLS, "tool_choice": {"type": "any"}}, {"max_tokens": 2}],
    ids=["text", "thinking", "tool", "cut short"],
)
def test_s6_a_stream_makes_the_same_message(
    sim: Simulator, claude: httpx.Client, more: dict[str, Any]
) -> None:
    whole = claude.post(PATH, json={**BODY, **more}).json()
    sim.reset()
    streamed = rebuilt(claude.post(PATH, json={**STREAMED, **more}))
    for message in (whole, streamed):
        message.pop("id")
        for block in message["content"]:
            block.pop("id", None)
            block.pop("signature", None)
    assert streamed == whole


def test_s6_the_first_event_reports_the_input(claude: httpx.Client) -> None:
    first = documents(claude.post(PATH, json=STREAMED))[0]["message"]
    assert (first["content"], first["stop_reason"]) == ([], None)
    assert first["usage"]["input_tokens"] == 10


def test_s6_the_last_usage_is_cumulative(claude: httpx.Client) -> None:
    usage = documents(claude.post(PATH, json=STREAMED))[-2]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (10, 0, 16)


def test_s6_the_older_last_usage_is_the_output_alone(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", older_usage=True)
    assert documents(claude.post(PATH, json=STREAMED))[-2]["usage"] == {"output_tokens": 16}


def test_s6_a_stream_begins_before_the_first_token_is_made(sim: Simulator, claude: httpx.Client) -> None:
    sim.latency("eastus", Latency(per_token_ms=60_000))
    with claude.stream("POST", PATH, json=STREAMED) as answer:
        assert "message_start" in next(answer.iter_text())


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"max_tokens": None},
        {"max_tokens": 0},
        {"max_tokens": "many"},
        {"messages": None},
        {"messages": []},
        {"messages": ["hello"]},
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"system": 5},
        {"tools": "weather"},
        {"tool_choice": {"type": "any"}},
        {**TOOLS, "tool_choice": {"type": "tool", "name": "other"}},
        {**TOOLS, **THINKING, "tool_choice": {"type": "any"}},
        {"thinking": {"type": "enabled", "budget_tokens": 10}},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    ],
)
def test_s6_a_malformed_body_is_refused(claude: httpx.Client, change: dict[str, Any]) -> None:
    body = {name: value for name, value in {**BODY, **change}.items() if value is not None}
    answer = claude.post(PATH, json=body)
    assert error_of(answer) == (400, "invalid_request_error")


@pytest.mark.parametrize("body", ["{", "[]", ""])
def test_s6_a_body_that_is_no_json_object_is_refused(claude: httpx.Client, body: str) -> None:
    assert error_of(claude.post(PATH, content=body)) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", PATH), ("POST", f"{PATH}/count_tokens"), ("GET", "/anthropic/v1/models")]
)
def test_s6_a_version_is_required(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path, json=BODY)
    assert error_of(answer) == (400, "invalid_request_error")
    assert "anthropic-version" in answer.json()["error"]["message"]


def test_s6_a_version_is_a_date(claude: httpx.Client) -> None:
    answer = claude.post(PATH, json=BODY, headers={"anthropic-version": "latest"})
    assert error_of(answer) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "headers",
    [
        {"api-key": "key-east"},
        {"x-api-key": "key-east-2"},
        {"authorization": "Bearer key-east"},
        {"authorization": "bearer identity-token"},
    ],
)
def test_s6_valid_credentials(sim: Simulator, headers: dict[str, str]) -> None:
    answer = httpx.post(
        sim.endpoint("eastus") + PATH, json=BODY, headers={**VERSION, **headers}, trust_env=False
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"api-key": "wrong"},
        {"x-api-key": "wrong"},
        {"x-api-key": "identity-token"},
        {"authorization": "Bearer wrong"},
    ],
)
def test_s6_wrong_credentials(sim: Simulator, headers: dict[str, str]) -> None:
    answer = httpx.post(
        sim.endpoint("eastus") + PATH, json=BODY, headers={**VERSION, **headers}, trust_env=False
    )
    assert error_of(answer) == (401, "authentication_error")


def test_s6_other_surfaces_take_no_x_api_key(sim: Simulator) -> None:
    url = sim.endpoint("eastus") + "/openai/v1/models"
    assert httpx.get(url, headers={"x-api-key": "key-east"}, trust_env=False).status_code == 401


@pytest.mark.parametrize("path", [PATH, f"{PATH}/count_tokens"])
def test_s6_an_unknown_deployment_is_not_found(west: httpx.Client, path: str) -> None:
    answer = west.post(path, json=BODY, headers=VERSION)
    assert error_of(answer) == (404, "not_found_error")
    assert answer.json()["error"]["message"] == "model: claude"


def test_s6_an_error_names_the_request(west: httpx.Client) -> None:
    answer = west.post(PATH, json=BODY, headers=VERSION)
    assert answer.json()["type"] == "error"
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_s6_azures_own_not_found_can_be_asked_for(sim: Simulator, west: httpx.Client) -> None:
    sim.fail("westus", azure_errors=True)
    answer = west.post(PATH, json=BODY, headers=VERSION)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "DeploymentNotFound")


def test_s6_an_unknown_operation_is_an_api_that_is_not_supported(claude: httpx.Client) -> None:
    answer = claude.post("/anthropic/v1/messages/messages", json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_supported")


def test_s6_a_body_that_is_too_large(claude: httpx.Client) -> None:
    answer = claude.post(PATH, json={**BODY, "system": "x" * 32 * 1024 * 1024})
    assert error_of(answer) == (413, "request_too_large")


# --- quota ------------------------------------------------------------------------------------------------


def test_s6_a_used_up_quota_is_a_rate_limit_error(sim: Simulator, claude: httpx.Client) -> None:
    sim.quota("eastus", "claude", Quota(rpm=1))
    claude.post(PATH, json=BODY)
    answer = claude.post(PATH, json=BODY)
    assert error_of(answer) == (429, "rate_limit_error")
    assert 55 < int(answer.headers["retry-after"]) <= 60


def test_s6_the_estimate_is_the_input_plus_max_tokens(sim: Simulator, claude: httpx.Client) -> None:
    sim.quota("eastus", "claude", Quota(tpm=109))
    assert error_of(claude.post(PATH, json=BODY)) == (429, "rate_limit_error")
    assert claude.post(PATH, json={**BODY, "max_tokens": 99}).status_code == 200


def test_s6_no_rate_limit_headers_are_sent(claude: httpx.Client) -> None:
    headers = claude.post(PATH, json=BODY).headers
    assert not [name for name in headers if "ratelimit" in name]


def test_s6_counting_uses_no_quota(sim: Simulator, claude: httpx.Client) -> None:
    sim.quota("eastus", "claude", Quota(rpm=1))
    statuses = [claude.post(f"{PATH}/count_tokens", json=BODY).status_code for _ in range(3)]
    assert statuses == [200] * 3


# --- faults -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_s6_a_scripted_status_has_the_usual_type(
    sim: Simulator, claude: httpx.Client, status: int, kind: str
) -> None:
    sim.fail("eastus", status=status)
    answer = claude.post(PATH, json=BODY)
    assert error_of(answer) == (status, kind)
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_s6_a_scripted_status_takes_a_type_and_a_message(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", status=500, code="overloaded_error", message="busy")
    error = claude.post(PATH, json=BODY).json()["error"]
    assert error == {"type": "overloaded_error", "message": "busy"}


def test_s6_a_refusal_of_the_content_filter(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", status=400, code="content_filter")
    assert error_of(claude.post(PATH, json=BODY)) == (400, "invalid_request_error")


def test_s6_a_scripted_status_in_azures_form(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", status=404, azure_errors=True)
    assert claude.post(PATH, json=BODY).json()["error"]["code"] == "DeploymentNotFound"


@pytest.mark.parametrize("deployment", ["claude", "other"])
def test_s6_a_fault_for_one_deployment_spares_others(
    sim: Simulator, claude: httpx.Client, deployment: str
) -> None:
    sim.fail("eastus", status=529, deployment="claude")
    status = claude.post(PATH, json={**BODY, "model": deployment}).status_code
    assert status == (529 if deployment == "claude" else 200)


def test_s6_a_scripted_hint(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", status=429, retry_after=26)
    answer = claude.post(PATH, json=BODY)
    assert answer.headers["retry-after"] == "26"
    assert "26 seconds" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("hint", "sent"), [("day", "86400"), ("message_only", None)])
def test_s6_an_odd_hint(sim: Simulator, claude: httpx.Client, hint: str, sent: str | None) -> None:
    sim.fail("eastus", garbage_hint=hint)
    answer = claude.post(PATH, json=BODY)
    assert error_of(answer) == (429, "rate_limit_error")
    assert answer.headers.get("retry-after") == sent


@pytest.mark.parametrize("after", [0, 3])
def test_s6_an_error_inside_the_stream(sim: Simulator, claude: httpx.Client, after: int) -> None:
    sim.fail("eastus", stream_error="auto", after=after)
    answer = claude.post(PATH, json=STREAMED)
    events = documents(answer)
    assert [event["type"] for event in events].count("content_block_delta") == after
    assert events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert answer.text.rstrip().rpartition("event: ")[2].startswith("error\n")


def test_s6_an_error_before_output_follows_the_preamble_alone(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", stream_error="auto", code="rate_limit_error")
    events = documents(claude.post(PATH, json=STREAMED))
    assert [event["type"] for event in events] == ["message_start", "ping", "error"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("nested", {"type": "error", "error": {"type": "c", "message": "m"}}),
        ("response_failed", {"type": "error", "error": {"type": "c", "message": "m"}}),
        ("unexplained", {"type": "error", "error": {"type": "c", "message": "m"}}),
        ("message_only", {"type": "error", "error": {"message": "m"}}),
        ("event", {"type": "error", "code": "c", "message": "m"}),
        ("chat_chunk", {"error": {"message": "m", "type": "c", "param": None, "code": "c"}}),
    ],
)
def test_s6_forms_of_errors_inside_the_stream(
    sim: Simulator, claude: httpx.Client, form: str, expected: dict[str, Any]
) -> None:
    sim.fail("eastus", stream_error=form, code="c", message="m")
    assert documents(claude.post(PATH, json=STREAMED))[-1] == expected


def test_s6_a_cut_stream_has_no_end(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", cut=5)
    received: list[str] = []
    with claude.stream("POST", PATH, json=STREAMED) as answer, pytest.raises(httpx.RemoteProtocolError):
        received.extend(answer.iter_text())
    assert "".join(received).count("event: ") == 5


def test_s6_a_split_stream_has_the_same_events(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", split=5, crlf=True)
    assert json.loads(datas(claude.post(PATH, json=STREAMED))[-1]) == {"type": "message_stop"}


def test_s6_a_slow_answer_is_a_good_one(sim: Simulator, claude: httpx.Client) -> None:
    sim.fail("eastus", slow_first_byte=0.01, count=1)
    assert claude.post(PATH, json=BODY).status_code == 200


# --- regions without it -----------------------------------------------------------------------------------


def test_s6_a_region_without_the_surface_does_not_know_its_paths(
    sim: Simulator, claude: httpx.Client
) -> None:
    sim.surfaces("eastus", anthropic=False)
    answer = claude.post(PATH, json=BODY)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Resource not found")


def test_s6_x_api_key_does_not_hide_the_missing_surface(sim: Simulator) -> None:
    sim.surfaces("eastus", anthropic=False)
    url = sim.endpoint("eastus") + PATH
    answer = httpx.post(url, json=BODY, headers={"x-api-key": "key-east"}, trust_env=False)
    assert answer.status_code == 404
