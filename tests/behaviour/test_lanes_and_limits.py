"""Section 8 of the gateway's behaviour, lanes and limits, and the limits of single clients (A7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Quota, Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import API_VERSION, CHAT, Stage
from tests.behaviour.support import DEPLOYMENT_CHAT, V1_CHAT, V1_RESPONSES, chat, records

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

PRODUCTION: dict[str, Any] = {"GATEWAY_LOG_MODE": "prod", "GATEWAY_E2E_TEST_MODE": "false"}
LIMITED: dict[str, Any] = {
    "ENABLE_AI_RATE_LIMIT": "true",
    "AI_RATE_LIMIT_STRATEGY": "req",
    "AI_RATE_LIMIT_HIGH_LIMIT": 100,
}
LOW_LIMIT_1: dict[str, Any] = LIMITED | {"AI_RATE_LIMIT_LOW_LIMIT": 1}
HIGH_LIMIT_1: dict[str, Any] = LIMITED | {"AI_RATE_LIMIT_HIGH_LIMIT": 1}
TOKENS: dict[str, Any] = {
    "ENABLE_AI_RATE_LIMIT": "true",
    "AI_RATE_LIMIT_STRATEGY": "total_tokens",
    "AI_RATE_LIMIT_HIGH_LIMIT": 10,
    "AI_RATE_LIMIT_LOW_LIMIT": 10,
}
TEAM_B_KEY = "client-key-of-team-b-0001"
TEAM_B: dict[str, Any] = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": TEAM_B_KEY}
REASON = "x-gw-ratelimit-reason"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def low(client: httpx.Client) -> httpx.Response:
    """A chat completion that asks for the low lane."""
    return client.post(V1_CHAT, json=CHAT, headers={"x-priority": "low"})


def statuses(client: httpx.Client, *lanes: str) -> list[int]:
    """The statuses of chat completions, one for each requested lane."""
    return [(low if lane == "low" else chat)(client).status_code for lane in lanes]


def refused(client: httpx.Client) -> httpx.Response:
    """The second of two requests, which the limit refuses."""
    chat(client)
    return chat(client)


def test_l1_x_priority_chooses_the_lane_in_production(stage: Stage) -> None:
    client = stage.http(stage.gateway(**PRODUCTION, **LOW_LIMIT_1))
    assert statuses(client, "low", "low", "high", "high") == [200, 503, 200, 200]


@pytest.mark.parametrize("value", ["high", "urgent", ""])
def test_l1_everything_else_is_the_high_lane(stage: Stage, value: str) -> None:
    client = stage.http(stage.gateway(**LOW_LIMIT_1))
    client.headers["x-priority"] = value
    assert statuses(client, "high", "high") == [200, 200]


def test_l1_its_case_does_not_matter(stage: Stage) -> None:
    client = stage.http(stage.gateway(**LOW_LIMIT_1))
    client.headers["X-Priority"] = "Low"
    assert statuses(client, "high", "high") == [200, 503]


def test_l1_a_client_pinned_to_low_cannot_leave_it(stage: Stage) -> None:
    client = stage.http(stage.gateway(**LOW_LIMIT_1, GATEWAY_CLIENT_LANE_0="low"))
    client.headers["x-priority"] = "high"
    assert statuses(client, "high", "high") == [200, 503]


def test_l1_a_client_pinned_to_high_stays_there(stage: Stage) -> None:
    client = stage.http(stage.gateway(**LOW_LIMIT_1, GATEWAY_CLIENT_LANE_0="high"))
    assert statuses(client, "low", "low") == [200, 200]


def test_l1_the_lane_is_the_gateways_business(stage: Stage, sim: Simulator) -> None:
    low(stage.http(stage.gateway(["eastus"])))
    assert sim.requests("eastus")[0].header("x-priority") is None


def test_l2_there_is_no_limit_while_it_is_switched_off(stage: Stage) -> None:
    client = stage.http(stage.gateway(ENABLE_AI_RATE_LIMIT="false", AI_RATE_LIMIT_HIGH_LIMIT=1))
    assert statuses(client, "high", "high", "low") == [200, 200, 200]


def test_l2_each_lane_has_its_bucket(stage: Stage) -> None:
    client = stage.http(stage.gateway(**HIGH_LIMIT_1, AI_RATE_LIMIT_LOW_LIMIT=2))
    assert statuses(client, "high", "high", "low", "low", "low") == [200, 503, 200, 200, 503]


def test_l2_tokens_count_after_the_answer(stage: Stage) -> None:
    client = stage.http(stage.gateway(**TOKENS))
    assert statuses(client, "high", "high", "low", "low") == [200, 503, 200, 503]


def test_l2_tokens_of_a_stream_count(stage: Stage) -> None:
    client = stage.http(stage.gateway(**TOKENS))
    assert [chat(client, stream=True).status_code for _ in range(2)] == [200, 503]


def test_l2_tokens_of_a_stream_that_the_client_leaves_count(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=20, after=3, count=1)
    gateway = stage.gateway(["eastus"], **TOKENS, AI_RATE_LIMIT_WINDOW_SECONDS=600, GATEWAY_LOG_MODE="test")
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "a word " * 100}]}
    with stage.http(gateway).stream("POST", V1_CHAT, json=body) as stream:
        next(stream.iter_text())
    # Once its record is there, the request is over and charged.
    records(gateway)
    assert chat(stage.http(gateway)).status_code == 503


def test_l2_a_refused_answer_of_the_backend_costs_no_tokens(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=400, count=1)
    client = stage.http(stage.gateway(["eastus"], **TOKENS))
    assert statuses(client, "high", "high") == [400, 200]


def test_l2_code_and_message_are_as_configured(stage: Stage) -> None:
    settings = HIGH_LIMIT_1 | {
        "AI_RATE_LIMIT_REJECT_CODE": 418,
        "AI_RATE_LIMIT_REJECT_MESSAGE": "too much tea",
    }
    answer = refused(stage.http(stage.gateway(**settings)))
    assert (answer.status_code, answer.json()["error"]["message"]) == (418, "too much tea")


def test_l2_the_defaults_are_503_and_rate_limited(stage: Stage) -> None:
    answer = refused(stage.http(stage.gateway(**HIGH_LIMIT_1)))
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "rate limited")


def test_l2_a_429_says_when_the_window_ends(stage: Stage) -> None:
    settings: dict[str, Any] = {"AI_RATE_LIMIT_REJECT_CODE": 429, "AI_RATE_LIMIT_WINDOW_SECONDS": 100}
    answer = refused(stage.http(stage.gateway(**HIGH_LIMIT_1, **settings)))
    assert 90 <= int(answer.headers["retry-after"]) <= 100


def test_l2_other_codes_say_nothing_about_it(stage: Stage) -> None:
    assert "retry-after" not in refused(stage.http(stage.gateway(**HIGH_LIMIT_1))).headers


def test_l2_a_refused_request_reaches_no_backend(stage: Stage, sim: Simulator) -> None:
    refused(stage.http(stage.gateway(["eastus"], **HIGH_LIMIT_1)))
    assert len(sim.requests("eastus")) == 1


def test_l2_the_next_window_starts_anew(stage: Stage) -> None:
    client = stage.http(stage.gateway(**HIGH_LIMIT_1, AI_RATE_LIMIT_WINDOW_SECONDS=1))
    refused(client)
    assert eventually(lambda: chat(client).status_code == 200)


def test_l2_the_surfaces_share_the_buckets(stage: Stage) -> None:
    client = stage.http(stage.gateway(**HIGH_LIMIT_1))
    others = [
        client.post(DEPLOYMENT_CHAT, json=CHAT),
        client.post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hello"}),
    ]
    assert [answer.status_code for answer in others] == [200, 503]


def test_l2_the_workers_share_the_buckets(stage: Stage) -> None:
    gateway = stage.gateway(workers=2, **LIMITED | {"AI_RATE_LIMIT_HIGH_LIMIT": 3})
    # Each connection may meet another worker.
    answers = [chat(stage.http(gateway)).status_code for _ in range(6)]
    assert answers == [200, 200, 200, 503, 503, 503]


@needs_redis
def test_l2_replicas_share_the_buckets_through_redis(stage: Stage, redis: RedisServer) -> None:
    clients = [stage.http(stage.gateway(**HIGH_LIMIT_1, **redis.settings)) for _ in range(2)]
    assert [chat(client).status_code for client in clients] == [200, 503]


@needs_redis
def test_l2_replicas_share_tokens_through_redis(stage: Stage, redis: RedisServer) -> None:
    one, other = [stage.http(stage.gateway(**TOKENS, **redis.settings)) for _ in range(2)]
    chat(one)
    # Tokens are charged after the answer.
    eventually(lambda: redis.command("GET", "azure-openai-gateway:limit:lane|high") not in (None, "0"))
    assert chat(other).status_code == 503


@needs_redis
def test_l2_the_shared_window_ends(stage: Stage, redis: RedisServer) -> None:
    settings: dict[str, Any] = HIGH_LIMIT_1 | {"AI_RATE_LIMIT_WINDOW_SECONDS": 1} | redis.settings
    one, other = [stage.http(stage.gateway(**settings)) for _ in range(2)]
    chat(one)
    assert eventually(lambda: chat(other).status_code == 200)


def test_l2_without_redis_each_replica_counts_for_itself(stage: Stage) -> None:
    clients = [stage.http(stage.gateway(**HIGH_LIMIT_1)) for _ in range(2)]
    assert [chat(client).status_code for client in clients] == [200, 200]


@needs_redis
def test_l2_while_redis_is_down_each_replica_counts_for_itself(stage: Stage, redis: RedisServer) -> None:
    client = stage.http(stage.gateway(**HIGH_LIMIT_1, **redis.settings))
    redis.stop()
    assert statuses(client, "high", "high") == [200, 503]


SCARCE = Quota(tpm=1000)
RESERVE: dict[str, Any] = {"LOW_LANE_RESERVE_PERCENT": 30}


def use_up(client: httpx.Client, tokens: int) -> None:
    """Uses so many tokens of a deployment's quota, as the backend estimates them."""
    chat(client, max_tokens=tokens)


def test_l3_low_requests_are_shed_when_little_quota_is_left(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(["eastus"], **RESERVE))
    use_up(client, 800)
    answer = low(client)
    assert (answer.status_code, answer.headers[REASON]) == (429, "low-lane-reserve")


def test_l3_a_shed_request_is_told_when_to_come_back(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(["eastus"], **RESERVE))
    use_up(client, 800)
    assert int(low(client).headers["retry-after"]) >= 1


def test_l3_high_requests_pass(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(["eastus"], **RESERVE))
    use_up(client, 800)
    assert (chat(client).status_code, low(client).status_code) == (200, 429)


def test_l3_low_requests_pass_while_enough_is_left(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(["eastus"], **RESERVE))
    use_up(client, 500)
    assert low(client).status_code == 200


def test_l3_low_requests_pass_before_a_backend_has_said_anything(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    assert low(stage.http(stage.gateway(["eastus"], **RESERVE))).status_code == 200


def test_l3_a_quota_that_is_not_known_sheds_nothing(stage: Stage, sim: Simulator) -> None:
    unknown = {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-limit-tokens": "1000"}
    sim.fail("eastus", status=200, headers=unknown, body={"choices": []})
    client = stage.http(stage.gateway(["eastus"], **RESERVE))
    assert [chat(client).status_code, low(client).status_code] == [200, 200]


# Azure does not always name the limit.
LEFT = "x-ratelimit-remaining-tokens"


def report(sim: Simulator, left: int) -> None:
    """Lets eastus report so many tokens as left, and no limit."""
    sim.clear_faults("eastus")
    sim.fail("eastus", status=200, headers={LEFT: str(left)}, body={"choices": []})


@pytest.mark.parametrize(("left", "status"), [(2_900, 429), (3_100, 200)])
def test_l3_without_a_limit_the_most_that_was_left_stands_for_it(
    stage: Stage, sim: Simulator, left: int, status: int
) -> None:
    client = stage.http(stage.gateway(["eastus"], **RESERVE))
    for number in (10_000, left):
        report(sim, number)
        chat(client)
    assert low(client).status_code == status


@pytest.mark.parametrize(("left", "status"), [(2_900, 429), (3_100, 200)])
def test_l3_or_the_configured_one(stage: Stage, sim: Simulator, left: int, status: int) -> None:
    limits = {"AZURE_OPENAI_TOKENS_PER_MINUTE_0": "gpt-4o=10000"}
    client = stage.http(stage.gateway(["eastus"], **RESERVE, **limits))
    report(sim, left)
    chat(client)
    assert low(client).status_code == status


def test_l3_what_other_candidates_have_left_counts(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(**RESERVE))
    for _ in range(2):
        use_up(client, 800)
    assert low(client).status_code == 200


def test_l3_a_throttled_candidate_has_nothing_left(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=60, count=1)
    sim.quota("westus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10, **RESERVE))
    use_up(client, 500)
    answer = low(client)
    assert (answer.status_code, answer.headers[REASON]) == (429, "low-lane-reserve")


def test_l3_another_deployment_is_not_concerned(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(["eastus"], **RESERVE))
    use_up(client, 800)
    client.headers["x-priority"] = "low"
    assert chat(client, model="gpt-4o-mini").status_code == 200


def test_l3_shedding_is_off_by_default(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(["eastus"]))
    use_up(client, 800)
    assert low(client).status_code == 200


def test_l3_a_shed_request_reaches_no_backend(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", SCARCE)
    client = stage.http(stage.gateway(["eastus"], **RESERVE))
    use_up(client, 800)
    low(client)
    assert len(sim.requests("eastus")) == 1


ALLOWED: dict[str, Any] = {"GATEWAY_CLIENT_DEPLOYMENTS_0": "gpt-4o,whisper-1"}


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (V1_CHAT, {"model": "o1", "messages": []}),
        (V1_RESPONSES, {"model": "o1", "input": "Hello"}),
        (f"/openai/deployments/o1/chat/completions?api-version={API_VERSION}", {"messages": []}),
        (f"/openai/deployments/o1/chat/completions?api-version={API_VERSION}", {"model": "gpt-4o"}),
        (
            V1_RESPONSES,
            {"model": "gpt-4o", "input": "Hi", "tools": [{"type": "image_generation", "model": "o1"}]},
        ),
        ("/openai/v1/realtime/client_secrets", {"session": {"type": "realtime", "model": "o1"}}),
        (
            "/openai/v1/realtime/client_secrets",
            {"session": {"model": "gpt-4o", "audio": {"input": {"transcription": {"model": "o1"}}}}},
        ),
        (
            "/openai/v1/realtime/transcription_sessions",
            {"model": "gpt-4o", "input_audio_transcription": {"model": "o1"}},
        ),
        (
            V1_CHAT,
            {
                "model": "gpt-4o",
                "messages": [],
                "data_sources": [{"parameters": {"embedding_dependency": {"deployment_name": "o1"}}}],
            },
        ),
        (V1_CHAT, {"model": "gpt-4o", "messages": [], "tools": [{"x": n} for n in range(20_000)]}),
        ("/openai/v1/responses/compact", {"model": "o1", "input": "Hello"}),
        ("/openai/v1/assistants", {"model": "o1"}),
    ],
)
def test_a7_a_deployment_that_is_not_on_the_clients_list_is_403(
    stage: Stage, target: str, body: dict[str, object]
) -> None:
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(target, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")


def test_a7_so_it_is_in_an_upload(stage: Stage) -> None:
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(
        "/openai/v1/audio/transcriptions", data={"model": "whisper-2"}, files={"file": ("a.wav", b"RIFF")}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")


TRANSCRIPTIONS = "/openai/v1/audio/transcriptions"


@pytest.mark.parametrize("megabytes", [0, 3])
def test_a7_so_it_is_between_large_files(stage: Stage, megabytes: int) -> None:
    file = ("a.wav", b"RIFF" * 262_144 * megabytes)
    form = [("file", file), ("model", (None, "whisper-2")), ("file", file)]
    assert stage.http(stage.shared_gateway(**ALLOWED)).post(TRANSCRIPTIONS, files=form).status_code == 403


def test_a7_an_upload_that_names_no_deployment_is_403(stage: Stage) -> None:
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(
        TRANSCRIPTIONS, files={"file": ("a.wav", b"RIFF")}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")


def test_a7_an_upload_that_names_two_deployments_is_400(stage: Stage, sim: Simulator) -> None:
    form = [("model", (None, "whisper-1")), ("model", (None, "whisper-2")), ("file", ("a.wav", b"RIFF"))]
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(TRANSCRIPTIONS, files=form)
    assert (answer.status_code, "more than once" in answer.text, sim.requests("eastus")) == (400, True, [])


def test_a7_a_form_for_a_call_is_403(stage: Stage) -> None:
    form = [("model", (None, "gpt-4o")), ("session", (None, '{"model": "o1"}')), ("sdp", (None, "v=0"))]
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post("/openai/v1/realtime/calls", files=form)
    assert answer.status_code == 403


def test_a7_an_upload_with_two_content_types_is_400(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.shared_gateway(**ALLOWED))
    headers = [("content-type", "multipart/form-data; boundary=R"), ("content-type", "text/plain")]
    answer = client.post(TRANSCRIPTIONS, content=b"--R--", headers=headers)
    assert (answer.status_code, sim.requests("eastus")) == (400, [])


def test_a7_what_a_client_says_to_a_model_names_no_deployment(stage: Stage) -> None:
    words = [{"role": "user", "content": [{"type": "text", "text": "x", "deployment_name": "o1"}]}]
    assert chat(stage.http(stage.shared_gateway(**ALLOWED)), messages=words).status_code == 200


def test_a7_a_client_with_a_list_may_store_files(stage: Stage) -> None:
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(
        "/openai/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", b"{}")}
    )
    assert answer.status_code < 300


AMBIGUOUS = [
    '{"model": "gpt-4o", "messages": [], "model": "o1"}',
    '{"model": "o1", "messages": [], "model": "gpt-4o"}',
    '{"\\u006dodel": "o1", "messages": [], "model": "gpt-4o"}',
    '{"model": "gpt-4o", "messages": [], "Model": "o1"}',
    '{"Model": "gpt-4o", "messages": []}',
    '{"model": "gpt-4o", "messages": [], "tools": [{"model": "gpt-4o", "model": "o1"}]}',
    '{"model": "gpt-4o", "messages": [], "temperature": 0, "temperature": 1}',
]


@pytest.mark.parametrize("body", AMBIGUOUS)
def test_a7_a_body_that_can_be_read_in_two_ways_is_400(stage: Stage, sim: Simulator, body: str) -> None:
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(
        V1_CHAT, content=body, headers={"content-type": "application/json"}
    )
    code = answer.json()["error"]["code"]
    assert (answer.status_code, code, sim.requests("eastus")) == (400, "ambiguous_request", [])


def test_a7_so_is_a_form_with_a_file_that_is_called_model(stage: Stage, sim: Simulator) -> None:
    form = [("model", (None, "whisper-1")), ("Model", ("m.txt", b"o1")), ("file", ("a.wav", b"RIFF"))]
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(TRANSCRIPTIONS, files=form)
    code = answer.json()["error"]["code"]
    assert (answer.status_code, code, sim.requests("eastus")) == (400, "ambiguous_request", [])


@pytest.mark.parametrize("body", AMBIGUOUS)
def test_a7_for_clients_without_a_list_it_is_the_backends_business(
    stage: Stage, sim: Simulator, body: str
) -> None:
    client = stage.http(stage.shared_gateway())
    client.post(V1_CHAT, content=body, headers={"content-type": "application/json"})
    assert [request.body for request in sim.requests("eastus")] == [body.encode()]


def test_a7_a_property_of_a_tool_may_have_any_name(stage: Stage) -> None:
    schema = {"type": "object", "properties": {"Model": {"type": "string"}, "model": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "sell", "parameters": schema}}]
    assert chat(stage.http(stage.shared_gateway(**ALLOWED)), tools=tools).status_code == 200


def test_a7_a_name_that_is_no_text_can_be_answered(stage: Stage) -> None:
    body = b'{"model": "gpt-4o", "messages": [], "tools": [{"model": "\xff"}]}'
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(
        V1_CHAT, content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.mark.parametrize(
    "header",
    [
        "x-ms-spillover-deployment",
        "x-ms-oai-image-generation-deployment",
        "x_ms_spillover_deployment",
        "X-MS-Spillover_Deployment",
    ],
)
@pytest.mark.parametrize(("named", "status"), [("o1", 403), ("whisper-1", 200)])
def test_a7_the_list_holds_for_headers_too(stage: Stage, header: str, named: str, status: int) -> None:
    client = stage.http(stage.shared_gateway(**ALLOWED))
    client.headers[header] = named
    assert chat(client).status_code == status


@pytest.mark.parametrize("content_type", ["text/json", "text/plain"])
def test_a7_a_body_that_the_gateway_does_not_read_names_nothing(stage: Stage, content_type: str) -> None:
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(
        "/openai/v1/responses/compact",
        content='{"model": "o1", "input": "Hello"}',
        headers={"content-type": content_type},
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("collection", ["batches", "evals", "fine_tuning/jobs"])
def test_a7_what_names_its_deployments_elsewhere_is_403(stage: Stage, collection: str) -> None:
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(
        f"/openai/v1/{collection}", json={"model": "gpt-4o"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.mark.parametrize("path", ["Batches", "EVALS", "Fine_Tuning/jobs", "Realtime/calls"])
def test_a7_the_case_of_a_path_does_not_help(stage: Stage, path: str) -> None:
    form = [("model", (None, "gpt-4o")), ("session", (None, '{"model": "o1"}'))]
    client = stage.http(stage.shared_gateway(**ALLOWED))
    body: dict[str, Any] = {"files": form} if path == "Realtime/calls" else {"json": {"model": "gpt-4o"}}
    assert client.post(f"/openai/v1/{path}", **body).status_code == 403


RUNS = [
    "v1/threads/runs",
    "v1/threads/thread_1/runs",
    "threads/thread_1/Runs?api-version=2024-05-01-preview",
    "v1/videos/video_1/remix",
]


@pytest.mark.parametrize("path", RUNS)
def test_a7_what_runs_the_model_of_something_stored_and_names_none_is_403(
    stage: Stage, sim: Simulator, path: str
) -> None:
    answer = stage.http(stage.shared_gateway(**ALLOWED)).post(
        f"/openai/{path}", json={"assistant_id": "asst_of_another_client"}
    )
    assert (answer.status_code, sim.requests("eastus")) == (403, [])


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("threads/runs", {"assistant_id": "asst_1"}, {"x-ms-spillover-deployment": "gpt-4o"}),
        ("responses", {"input": "Hi", "tools": [{"type": "image_generation", "model": "gpt-4o"}]}, {}),
    ],
)
def test_a7_naming_only_a_helper_is_naming_none(
    stage: Stage, sim: Simulator, path: str, body: dict[str, Any], headers: dict[str, str]
) -> None:
    client = stage.http(stage.shared_gateway(**ALLOWED))
    answer = client.post(f"/openai/v1/{path}", json=body, headers=headers)
    assert (answer.status_code, sim.requests("eastus")) == (403, [])


def test_a7_a_session_names_its_own_deployment(stage: Stage, sim: Simulator) -> None:
    stage.http(stage.shared_gateway(**ALLOWED)).post(
        "/openai/v1/realtime/client_secrets", json={"session": {"type": "realtime", "model": "gpt-4o"}}
    )
    assert len(sim.requests("eastus")) == 1


def test_a7_a_run_that_names_an_allowed_deployment_passes(stage: Stage, sim: Simulator) -> None:
    stage.http(stage.shared_gateway(**ALLOWED)).post(
        "/openai/v1/threads/thread_1/runs", json={"assistant_id": "asst_1", "model": "gpt-4o"}
    )
    assert len(sim.requests("eastus")) == 1


def test_a7_runs_can_be_looked_at(stage: Stage, sim: Simulator) -> None:
    stage.http(stage.shared_gateway(**ALLOWED)).get("/openai/v1/threads/thread_1/runs")
    assert len(sim.requests("eastus")) == 1


def test_a7_a_refused_deployment_reaches_no_backend(stage: Stage, sim: Simulator) -> None:
    chat(stage.http(stage.shared_gateway(**ALLOWED)), model="o1")
    assert sim.requests("eastus") == []


def test_a7_the_deployments_on_the_list_are_served(stage: Stage) -> None:
    assert chat(stage.http(stage.shared_gateway(**ALLOWED))).status_code == 200


def test_a7_the_list_holds_the_clients_names_of_deployments(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **ALLOWED, AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=o1,other=gpt-4o")
    client = stage.http(gateway)
    assert (chat(client).status_code, chat(client, model="other").status_code) == (200, 403)


def test_a7_other_clients_are_not_concerned(stage: Stage) -> None:
    gateway = stage.gateway(**ALLOWED, **TEAM_B)
    assert chat(stage.http(gateway, TEAM_B_KEY), model="o1").status_code == 200


def test_a7_requests_that_name_no_deployment_pass(stage: Stage) -> None:
    assert stage.http(stage.shared_gateway(**ALLOWED)).get("/openai/v1/models").status_code == 200


def test_a7_requests_per_minute_are_429_with_retry_after(stage: Stage) -> None:
    answer = refused(stage.http(stage.gateway(GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0=1)))
    assert (answer.status_code, 50 <= int(answer.headers["retry-after"]) <= 60) == (429, True)


def test_a7_tokens_per_minute_are_429_with_retry_after(stage: Stage) -> None:
    answer = refused(stage.http(stage.gateway(GATEWAY_CLIENT_TOKENS_PER_MINUTE_0=1)))
    assert (answer.status_code, 50 <= int(answer.headers["retry-after"]) <= 60) == (429, True)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0", "client-requests"),
        ("GATEWAY_CLIENT_TOKENS_PER_MINUTE_0", "client-tokens"),
    ],
)
def test_a7_the_answer_says_which_limit_it_was(stage: Stage, setting: str, reason: str) -> None:
    settings: dict[str, Any] = {setting: 1}
    assert refused(stage.http(stage.gateway(**settings))).headers[REASON] == reason


def test_a7_each_client_has_its_own_limit(stage: Stage) -> None:
    gateway = stage.gateway(
        **TEAM_B, GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0=1, GATEWAY_CLIENT_REQUESTS_PER_MINUTE_1=1
    )
    clients = [stage.http(gateway), stage.http(gateway, TEAM_B_KEY)]
    assert [statuses(client, "high", "high") for client in clients] == [[200, 429], [200, 429]]


def test_a7_both_keys_of_a_client_share_its_limit(stage: Stage) -> None:
    second = "client-key-of-team-a-0002"
    gateway = stage.gateway(GATEWAY_CLIENT_KEY_SECONDARY_0=second, GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0=1)
    clients = [stage.http(gateway), stage.http(gateway, second)]
    assert [chat(client).status_code for client in clients] == [200, 429]


@needs_redis
def test_a7_replicas_share_a_clients_limit_through_redis(stage: Stage, redis: RedisServer) -> None:
    settings: dict[str, Any] = {"GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0": 1} | redis.settings
    clients = [stage.http(stage.gateway(**settings)) for _ in range(2)]
    assert [chat(client).status_code for client in clients] == [200, 429]


@needs_redis
def test_a7_the_shared_limit_says_when_its_window_ends(stage: Stage, redis: RedisServer) -> None:
    client = stage.http(stage.gateway(**{"GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0": 1} | redis.settings))
    assert 50 <= int(refused(client).headers["retry-after"]) <= 60


def test_a7_a_guessed_key_uses_nobodys_limit(stage: Stage) -> None:
    gateway = stage.gateway(GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0=1)
    chat(stage.http(gateway, "client-key-of-team-a-0009"))
    assert chat(stage.http(gateway)).status_code == 200
