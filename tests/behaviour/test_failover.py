"""Section 4 of the gateway's behaviour: failover inside one request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from time import time
from typing import Any, NamedTuple

import httpx
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import CHAT, REGIONS, Stage
from tests.behaviour.support import V1_CHAT, V1_RESPONSES, attempts, chat, logged, winner
from tests.engines.raw_server import RawServer
from tests.support.ports import refusing_port

HEAVY_EASTUS = {"AZURE_OPENAI_PRIORITY_0": 10}
"""Makes eastus the first choice of every request."""


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 401, 403, 408])
def test_f1_a_failed_status_moves_on_within_the_request(stage: Stage, sim: Simulator, status: int) -> None:
    sim.fail("eastus", status=status)
    response = chat(stage.http(stage.gateway(**HEAVY_EASTUS)))
    assert (response.status_code, attempts(response)) == (200, [f"eastus:{status}", "westus:200"])


def test_f1_a_missing_deployment_moves_on(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound")
    response = chat(stage.http(stage.gateway(**HEAVY_EASTUS)))
    assert attempts(response) == ["eastus:404", "westus:200"]


def test_f1_a_connection_reset_moves_on(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", reset=True)
    response = chat(stage.http(stage.gateway(**HEAVY_EASTUS)))
    assert attempts(response) == ["eastus:reset", "westus:200"]


def test_f1_a_refused_connection_moves_on(stage: Stage) -> None:
    with refusing_port() as port:
        gateway = stage.gateway(**HEAVY_EASTUS, AZURE_OPENAI_ENDPOINT_0=f"http://127.0.0.1:{port}")
        assert attempts(chat(stage.http(gateway))) == ["eastus:connect", "westus:200"]


def test_f1_a_name_that_does_not_resolve_moves_on(stage: Stage) -> None:
    gateway = stage.gateway(**HEAVY_EASTUS, AZURE_OPENAI_ENDPOINT_0="https://no-such-resource.invalid")
    assert attempts(chat(stage.http(gateway))) == ["eastus:dns", "westus:200"]


def test_f1_a_failed_tls_handshake_moves_on(stage: Stage, sim: Simulator) -> None:
    plain_port = sim.endpoint("swedencentral").rsplit(":", 1)[1]
    gateway = stage.gateway(**HEAVY_EASTUS, AZURE_OPENAI_ENDPOINT_0=f"https://127.0.0.1:{plain_port}")
    assert attempts(chat(stage.http(gateway))) == ["eastus:tls", "westus:200"]


def test_f1_a_read_timeout_before_the_first_byte_moves_on(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", hang=True)
    # The limit holds for westus too, which may be slow on a busy machine.
    response = chat(stage.http(stage.gateway(**HEAVY_EASTUS, AI_PROXY_READ_TIMEOUT_MS=2000)))
    assert attempts(response) == ["eastus:timeout", "westus:200"]


def test_f1_a_json_answer_cut_in_the_middle_moves_on(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=40)
    response = chat(stage.http(stage.gateway(**HEAVY_EASTUS)))
    assert attempts(response) == ["eastus:reset", "westus:200"]


@pytest.mark.parametrize(("status", "code"), [(400, "content_filter"), (400, "invalid_request"), (422, "x")])
def test_f1_other_client_errors_are_answered_at_once(
    stage: Stage, sim: Simulator, status: int, code: str
) -> None:
    sim.fail("eastus", status=status, code=code)
    response = chat(stage.http(stage.gateway(**HEAVY_EASTUS)))
    assert (response.status_code, attempts(response)) == (status, [f"eastus:{status}"])


def test_f1_a_client_error_reaches_the_client_unchanged(stage: Stage, sim: Simulator) -> None:
    body = (
        '{"error": {"code": "content_filter", "message": "no", "innererror": {"big": 12345678901234567890}}}'
    )
    sim.fail("eastus", status=400, body=body)
    assert chat(stage.http(stage.gateway(**HEAVY_EASTUS))).text == body


ROUNDING_SECONDS = 0.01
"""The gateway reports times in milliseconds."""


class CoolDown(NamedTuple):
    """Seconds left of a cool-down that started, and was reported, between `began` and `ended`."""

    left: float
    began: float
    ended: float

    def lasts(self, seconds: float) -> bool:
        """Whether it can have lasted so long; the time since then is already gone."""
        passed = self.ended - self.began
        return seconds - passed - ROUNDING_SECONDS <= self.left <= seconds + ROUNDING_SECONDS

    def ends_at(self, when: float) -> bool:
        """Whether it can end at that time."""
        return when - self.ended - ROUNDING_SECONDS <= self.left <= when - self.began + ROUNDING_SECONDS


def cooldown(stage: Stage, sim: Simulator, *, cap: int | str = "", **fault: object) -> CoolDown:
    """The cool-down after one throttled answer, as the next client sees it."""
    sim.fail("eastus", **({"status": 429} | fault))
    client = stage.http(stage.gateway(["eastus"], COOLDOWN_MAX_SECONDS=cap))
    began = time()
    chat(client)
    left = int(chat(client).headers["retry-after-ms"]) / 1000
    return CoolDown(left, began, time())


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"retry_after_ms": 4000, "retry_after": 30}, 4),
        ({"retry_after": 7}, 7),
        ({"retry_after": "00:00:20"}, 20),
        ({"headers": {"x-ms-retry-after-ms": "700"}}, 0.7),
        ({"message": "Please try again in 1m30s."}, 90),
        ({"headers": {"x-ratelimit-reset-tokens": "6s"}}, 6),
        ({"headers": {"x-ratelimit-reset-requests": "1m3s"}}, 63),
        ({"headers": {"x-rate-limit-reset-tokens": "12"}}, 12),
        ({"message": "Rate limit is exceeded. Please retry after 26 seconds."}, 26),
        ({"message": "Slow down."}, 10),
        ({"retry_after_ms": -1, "retry_after": 3}, 3),
        ({"retry_after_ms": "soon", "retry_after": 0, "message": "no hint"}, 10),
        ({"retry_after": -1, "message": "Try again in 5 seconds"}, 5),
        ({"retry_after": 86400}, 120),
        ({"retry_after": "nan", "message": "no hint"}, 10),
        ({"retry_after": "1e999", "message": "no hint"}, 10),
    ],
)
def test_f2_the_cooldown_follows_the_first_hint_that_makes_sense(
    stage: Stage, sim: Simulator, fault: dict[str, object], seconds: float
) -> None:
    told = cooldown(stage, sim, **fault)
    assert told.lasts(seconds), told


def test_f2_a_hint_may_be_a_date(stage: Stage, sim: Simulator) -> None:
    end = int(time()) + 60
    told = cooldown(stage, sim, retry_after=formatdate(end, usegmt=True))
    assert told.ends_at(end), told


def test_f2_the_cap_is_configurable(stage: Stage, sim: Simulator) -> None:
    told = cooldown(stage, sim, cap=20, retry_after=600)
    assert told.lasts(20), told


def test_f2_a_200_that_reports_no_remaining_quota_cools_down(stage: Stage, sim: Simulator) -> None:
    sim.fail(
        "eastus", status=200, count=1, headers={"x-ratelimit-remaining-tokens": "0"}, body={"choices": []}
    )
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    assert [winner(chat(client)), winner(chat(client))] == ["eastus", "westus"]


def test_f2_it_rests_until_the_limit_that_is_used_up_is_reset(stage: Stage, sim: Simulator) -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-remaining-tokens": "90000",
        "x-ratelimit-reset-tokens": "1m0s",
    }
    sim.fail("eastus", status=200, body={"id": "chatcmpl-1"}, headers=headers, count=1)
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    assert [winner(chat(client)) for _ in range(2)] == ["eastus", "westus"]
    assert eventually(lambda: winner(chat(client)) == "eastus", seconds=10)


def test_f3_the_breaker_opens_after_consecutive_failures(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500)
    client = stage.http(stage.gateway(**HEAVY_EASTUS, BREAKER_FAILURES=2))
    trails = [attempts(chat(client, user=f"user-{number}")) for number in range(3)]
    assert trails == [["eastus:500", "westus:200"], ["eastus:500", "westus:200"], ["westus:200"]]


def test_f3_a_success_in_between_keeps_the_breaker_closed(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(**HEAVY_EASTUS, BREAKER_FAILURES=2))
    for _ in range(3):
        sim.fail("eastus", status=500, count=1)
        chat(client)
        chat(client)
    assert len(sim.requests("eastus")) == 6


def test_f3_answers_that_break_off_open_the_breaker(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=8)
    client = stage.http(stage.gateway(**HEAVY_EASTUS, BREAKER_FAILURES=2))
    for number in range(2):
        body = CHAT | {"stream": True, "user": f"user-{number}"}
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/openai/v1/chat/completions", json=body)
    assert attempts(chat(client)) == ["westus:200"]


def test_f3_so_do_those_that_break_off_before_the_client_has_any(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=8)
    client = stage.http(stage.gateway(**HEAVY_EASTUS, BREAKER_FAILURES=2))
    speeches = [{"model": "gpt-4o", "input": f"Hello {number}", "voice": "alloy"} for number in range(3)]
    trails = [attempts(client.post("/openai/v1/audio/speech", json=speech)) for speech in speeches]
    assert trails == [["eastus:reset", "westus:200"]] * 2 + [["westus:200"]]


def test_f3_a_whole_stream_in_between_keeps_the_breaker_closed(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(**HEAVY_EASTUS, BREAKER_FAILURES=2))
    for _ in range(2):
        sim.fail("eastus", cut=8, count=1)
        with pytest.raises(httpx.RemoteProtocolError):
            chat(client, stream=True)
        chat(client, stream=True)
    assert attempts(chat(client)) == ["eastus:200"]


def test_f3_a_half_open_breaker_lets_one_trial_through(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500, count=1)
    client = stage.http(stage.gateway(["eastus"], BREAKER_FAILURES=1, BREAKER_OPEN_SECONDS=1))
    chat(client)
    eventually(lambda: chat(client).status_code == 200)
    assert len(sim.requests("eastus")) == 2


def test_f3_a_refused_credential_opens_the_breaker_at_once(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=401)
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    assert [attempts(chat(client)), attempts(chat(client))] == [["eastus:401", "westus:200"], ["westus:200"]]


def test_f3_a_refused_credential_names_backend_and_variable_in_the_log(stage: Stage) -> None:
    gateway = stage.gateway(**HEAVY_EASTUS, AZURE_OPENAI_KEY_0="not-the-key-of-eastus")
    chat(stage.http(gateway))
    assert "'eastus'" in logged(gateway, "AZURE_OPENAI_KEY_0")


def test_f3_a_refused_credential_is_not_logged_itself(stage: Stage) -> None:
    gateway = stage.gateway(**HEAVY_EASTUS, AZURE_OPENAI_KEY_0="not-the-key-of-eastus")
    chat(stage.http(gateway))
    logged(gateway, "AZURE_OPENAI_KEY_0")
    assert "not-the-key-of-eastus" not in gateway.error_log.read_text()


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 403},
        {"status": 401, "code": "PermissionDenied", "message": "lacks the required data action"},
    ],
)
def test_f3_a_right_that_is_missing_for_one_thing_rests_that_alone(
    stage: Stage, sim: Simulator, refusal: dict[str, Any]
) -> None:
    sim.fail("eastus", **refusal, deployment="gated")
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    trails = [attempts(chat(client, model=model)) for model in ("gated", "gated", "gpt-4o")]
    assert trails == [[f"eastus:{refusal['status']}", "westus:200"], ["westus:200"], ["eastus:200"]]


@pytest.mark.parametrize("opened_by", [{"status": 500}, {"status": 401}, {"refuse": True}], ids=str)
@pytest.mark.parametrize(
    "trial", [{"status": 500}, {"status": 401}, {"status": 429, "retry_after": 1}], ids=str
)
def test_f3_a_trial_is_settled_whatever_it_shows(
    stage: Stage, sim: Simulator, opened_by: dict[str, Any], trial: dict[str, Any]
) -> None:
    client = stage.http(stage.gateway(**HEAVY_EASTUS, BREAKER_FAILURES=1, BREAKER_OPEN_SECONDS=1))
    sim.fail("eastus", **opened_by)
    chat(client)
    sim.reset()
    sim.fail("eastus", **trial, count=1)
    # A trial that is never settled would keep all requests away for the longest time of an answer.
    assert eventually(lambda: winner(chat(client)) == "eastus", seconds=10)


def test_b3_a_deployment_with_the_name_of_a_pattern_is_one_deployment(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound", deployment="*")
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    chat(client, model="*")
    assert winner(chat(client)) == "eastus"


def test_f4_each_backend_is_tried_at_most_once(stage: Stage, sim: Simulator) -> None:
    for region in REGIONS:
        sim.fail(region, status=500)
    chat(stage.http(stage.gateway(REGIONS)))
    assert [len(sim.requests(region)) for region in REGIONS] == [1, 1, 1]


def test_f4_the_number_of_attempts_can_be_limited(stage: Stage, sim: Simulator) -> None:
    for region in REGIONS:
        sim.fail(region, status=500)
    response = chat(stage.http(stage.gateway(REGIONS, AI_PROXY_MAX_ATTEMPTS=2)))
    assert len(attempts(response)) == 2


def test_f4_a_slow_failure_is_not_repeated_elsewhere(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", slow_first_byte=0.3, status=500)
    response = chat(stage.http(stage.gateway(**HEAVY_EASTUS, AI_PROXY_RETRY_WITHIN_MS=100)))
    assert attempts(response) == ["eastus:500"]


def test_f4_a_slow_failure_is_not_repeated_after_a_wait_either(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", slow_first_byte=0.3, status=429, headers={"retry-after-ms": "10"}, count=1)
    gateway = stage.gateway(["eastus"], AI_PROXY_RETRY_WITHIN_MS=100, AI_PROXY_MAX_WAIT_MS=2000)
    assert attempts(chat(stage.http(gateway))) == ["eastus:429"]


def test_f4_a_wait_is_no_second_attempt_for_who_did_not_have_to_rest(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500)
    sim.fail("westus", status=429, retry_after_ms=300, count=1)
    response = chat(stage.http(stage.gateway(**HEAVY_EASTUS, AI_PROXY_MAX_WAIT_MS=5000)))
    assert attempts(response) == ["eastus:500", "westus:429", "westus:200"]


def test_f4_nobody_waits_for_an_attempt_that_is_not_left(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=5)
    gateway = stage.gateway(["eastus"], AI_PROXY_MAX_ATTEMPTS=1, AI_PROXY_MAX_WAIT_MS=10_000)
    # Nearly all of it is still to come.
    assert int(chat(stage.http(gateway)).headers["retry-after"]) > 1


def throttle(sim: Simulator, **seconds: float) -> None:
    for region, retry_after in seconds.items():
        sim.fail(region, status=429, retry_after=retry_after)


def test_f5_all_throttled_is_429_with_the_smallest_remaining_cooldown(stage: Stage, sim: Simulator) -> None:
    throttle(sim, eastus=30, westus=12)
    response = chat(stage.http(stage.gateway()))
    assert (response.status_code, response.headers["retry-after"]) == (429, "12")


def test_f5_the_hint_is_in_both_headers(stage: Stage, sim: Simulator) -> None:
    throttle(sim, eastus=30, westus=12)
    headers = chat(stage.http(stage.gateway())).headers
    assert 11_000 <= int(headers["retry-after-ms"]) <= 12_000


def test_f5_throttled_candidates_are_not_asked_again(stage: Stage, sim: Simulator) -> None:
    throttle(sim, eastus=30, westus=30)
    client = stage.http(stage.gateway())
    chat(client)
    chat(client)
    assert [len(sim.requests("eastus")), len(sim.requests("westus"))] == [1, 1]


def test_f5_the_429_has_the_shape_of_an_azure_error(stage: Stage, sim: Simulator) -> None:
    throttle(sim, eastus=30)
    error = chat(stage.http(stage.gateway(["eastus"]))).json()["error"]
    assert (error["code"], "retry after 30 seconds" in error["message"]) == ("429", True)


@pytest.mark.parametrize("path", [V1_CHAT, "/openai/v1/audio/transcriptions", "/openai/v1/files"])
def test_f5_the_gateways_own_words_say_that_they_are_json(stage: Stage, path: str) -> None:
    with refusing_port() as port:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=f"http://127.0.0.1:{port}")
        response = stage.http(gateway).post(path, json=CHAT)
    assert (response.status_code, response.headers.get("content-type")) == (503, "application/json")


def test_f5_the_hint_is_never_longer_than_sdks_wait(stage: Stage, sim: Simulator) -> None:
    throttle(sim, eastus=5000)
    response = chat(stage.http(stage.gateway(["eastus"], COOLDOWN_MAX_SECONDS=600)))
    assert response.headers["retry-after"] == "120"


@pytest.mark.parametrize("other", [{"status": 500}, {"reset": True}, {"status": 401}])
def test_f5_a_mixture_with_throttling_is_429(stage: Stage, sim: Simulator, other: dict[str, object]) -> None:
    throttle(sim, eastus=20)
    sim.fail("westus", **other)
    response = chat(stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_1=10)))
    assert (response.status_code, response.headers["retry-after"]) == (429, "20")


def test_f5_the_most_useful_own_answer_is_passed_on(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", reset=True)
    sim.fail("westus", status=503, message="the model is being updated")
    response = chat(stage.http(stage.gateway()))
    assert (response.status_code, "being updated" in response.text) == (503, True)


def test_f5_an_empty_answer_is_put_into_words(stage: Stage) -> None:
    with RawServer(
        [(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nretry-after: 3\r\n\r\n",)]
    ) as backend:
        response = chat(stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url)))
    error = response.json()["error"]
    assert (response.status_code, error["code"], response.headers["retry-after"]) == (502, "502", "3")


def test_f5_the_gateways_bad_credential_is_not_the_clients_401(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=401)
    sim.fail("westus", status=401)
    assert chat(stage.http(stage.gateway())).status_code == 503


def test_f5_refused_credentials_are_told_with_their_settings(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=401)
    sim.fail("westus", status=401)
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    # The second request meets open breakers.
    assert [chat(client).json()["error"]["message"] for _ in range(2)] == [
        "No backend accepts the gateway's own credential. Look at the gateway's settings: "
        "AZURE_OPENAI_KEY_0, AZURE_OPENAI_KEY_1."
    ] * 2


def test_f5_a_refused_credential_beside_an_unreachable_backend_is_told(stage: Stage, sim: Simulator) -> None:
    sim.fail("westus", status=401)
    with refusing_port() as port:
        gateway = stage.gateway(AZURE_OPENAI_ENDPOINT_0=f"http://127.0.0.1:{port}")
        message = chat(stage.http(gateway)).json()["error"]["message"]
    assert message == (
        "No backend could be reached that accepts the gateway's own credential. "
        "Look at the gateway's settings: AZURE_OPENAI_KEY_1."
    )


def test_f5_unreachable_backends_are_503_with_a_body(stage: Stage) -> None:
    with refusing_port() as port:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=f"http://127.0.0.1:{port}")
        response = chat(stage.http(gateway))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "service_unavailable")


def test_f5_a_read_timeout_everywhere_is_504(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", hang=True)
    assert chat(stage.http(stage.gateway(["eastus"], AI_PROXY_READ_TIMEOUT_MS=200))).status_code == 504


def test_f5_a_bounded_wait_holds_the_request_until_a_candidate_recovers(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after_ms=300, count=1)
    response = chat(stage.http(stage.gateway(["eastus"], AI_PROXY_MAX_WAIT_MS=2000)))
    assert attempts(response) == ["eastus:429", "eastus:200"]


def test_f5_a_recovery_beyond_the_wait_limit_is_answered_at_once(stage: Stage, sim: Simulator) -> None:
    throttle(sim, eastus=60)
    response = chat(stage.http(stage.gateway(["eastus"], AI_PROXY_MAX_WAIT_MS=2000)))
    assert (response.status_code, response.headers["retry-after"]) == (429, "60")


@pytest.mark.parametrize(
    "negative", [{"status": 404, "code": "DeploymentNotFound"}, {"status": 404, "code": "not_found"}], ids=str
)
def test_f5_a_404_is_no_final_answer_while_somebody_rests(
    stage: Stage, sim: Simulator, negative: dict[str, Any]
) -> None:
    client = stage.http(stage.gateway(**HEAVY_EASTUS, BREAKER_FAILURES=1, BREAKER_OVERRIDE_CONCURRENCY=1))
    sim.fail("eastus", status=500, count=1)
    chat(client)
    sim.fail("westus", **negative)
    sim.fail("eastus", slow_first_byte=3, path="/responses")
    body = {"model": "gpt-4o", "input": "Hi", "previous_response_id": "resp_1"}
    with ThreadPoolExecutor(1) as pool:
        # Its request takes the only place behind the breaker.
        pool.submit(client.post, V1_RESPONSES, json=body)
        sim.wait_for(
            "eastus", lambda requests: any(request.path.endswith("/responses") for request in requests)
        )
        answer = client.post(V1_RESPONSES, json=body)
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)


def test_f5_a_cooldown_that_ended_meanwhile_is_still_a_429(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, headers={"retry-after-ms": "1"})
    sim.fail("westus", status=404, code="DeploymentNotFound", slow_first_byte=0.1)
    answer = chat(stage.http(stage.gateway(**HEAVY_EASTUS)))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_f6_a_failed_attempt_leaves_no_header(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500, headers={"x-trace-of-eastus": "1", "set-cookie": "a=b"})
    headers = chat(stage.http(stage.gateway(**HEAVY_EASTUS))).headers
    assert [name for name in headers if name in ("x-trace-of-eastus", "set-cookie")] == []


def test_f6_a_failed_attempt_leaves_no_byte(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500, body="a trace of eastus")
    assert "eastus" not in chat(stage.http(stage.gateway(**HEAVY_EASTUS))).text


def test_f7_a_stream_that_has_started_is_never_tried_elsewhere(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=6)
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    with (
        pytest.raises(httpx.RemoteProtocolError),
        client.stream("POST", "/openai/v1/chat/completions", json=CHAT | {"stream": True}) as response,
    ):
        response.read()
    assert sim.requests("westus") == []
