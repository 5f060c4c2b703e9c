"""O1: what each kind of answer costs, by the shipped prices."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.simulator import Simulator
from scripts.engines import Gateway
from tests.behaviour.conftest import API_VERSION, CHAT, Stage
from tests.behaviour.support import V1_CHAT, chat, logged, record_of, total, value

AT_ONCE: dict[str, Any] = {"GATEWAY_LOG_MODE": "test"}
JSON = {"content-type": "application/json"}
SOUND = {"files": {"file": ("speech.wav", b"RIFF", "audio/wav")}}
SPEECH = {"json": {"input": "x" * 1000, "voice": "alloy"}}
TWO_IMAGES = {"json": {"prompt": "a cat", "n": 2}}
# Text and pictures in, a picture out: 5, 10 and 40 USD per million tokens.
PICTURE = {
    "input_tokens": 110,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 100},
    "output_tokens": 1000,
    "total_tokens": 1110,
}
# Sound written down: 2.5 for text, 6 for sound, 10 for what was written.
TRANSCRIPT = {
    "type": "tokens",
    "input_tokens": 1100,
    "input_token_details": {"text_tokens": 100, "audio_tokens": 1000},
    "output_tokens": 100,
    "total_tokens": 1200,
}
LONG = {"prompt_tokens": 300_000, "completion_tokens": 1000, "total_tokens": 301_000}
LONG_CACHED = LONG | {"prompt_tokens_details": {"cached_tokens": 200_000}}
WRITTEN = {"prompt_tokens": 10_000, "completion_tokens": 0, "total_tokens": 10_000} | {
    "prompt_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 5000}
}
LONG_WRITTEN = LONG | {"prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 200_000}}
SHORT = {"prompt_tokens": 272_000, "completion_tokens": 1000, "total_tokens": 273_000}


def target(deployment: str, operation: str) -> str:
    return f"/openai/deployments/{deployment}/{operation}?api-version={API_VERSION}"


@pytest.mark.parametrize(
    ("deployment", "operation", "request_", "answer", "usd"),
    [
        ("whisper", "audio/transcriptions", SOUND, {"usage": {"type": "duration", "seconds": 30}}, 0.003),
        ("whisper", "audio/transcriptions", SOUND, {"text": "Hello", "duration": 30.0}, 0.003),
        ("gpt-4o-transcribe", "audio/transcriptions", SOUND, {"usage": TRANSCRIPT}, 0.00725),
        ("tts-1", "audio/speech", SPEECH, "sound", 0.015),
        ("gpt-image-1", "images/generations", TWO_IMAGES, {"data": [], "usage": PICTURE}, 0.04105),
        ("dall-e-3", "images/generations", TWO_IMAGES, {"data": []}, 0.08),
        ("gpt-6.1-sol", "chat/completions", {"json": CHAT}, {"usage": SHORT}, 0.554),
        ("gpt-6.1-sol", "chat/completions", {"json": CHAT}, {"usage": LONG}, 1.215),
        ("gpt-6.1-sol", "chat/completions", {"json": CHAT}, {"usage": LONG_CACHED}, 0.455),
        ("gpt-6.1-sol", "chat/completions", {"json": CHAT}, {"usage": WRITTEN}, 0.0187),
        ("gpt-6.1-sol", "chat/completions", {"json": CHAT}, {"usage": LONG_WRITTEN}, 1.415),
        ("gpt-5", "chat/completions", {"json": CHAT}, {"usage": WRITTEN}, 0.01025),
    ],
    ids=[
        "seconds of sound",
        "seconds of sound, as older answers say them",
        "sound in tokens",
        "characters that are spoken",
        "pictures in tokens",
        "pictures",
        "a prompt of the usual length",
        "a long prompt",
        "a long prompt, most of it cached",
        "a prompt that is written to the cache",
        "a long prompt, most of it written to the cache",
        "a model that writes to its cache for nothing",
    ],
)
def test_o1_what_an_answer_costs(
    stage: Stage,
    sim: Simulator,
    deployment: str,
    operation: str,
    request_: dict[str, Any],
    answer: dict[str, Any] | str,
    usd: float,
) -> None:
    headers = JSON if isinstance(answer, dict) else {"content-type": "audio/mpeg"}
    sim.fail("eastus", status=200, body=answer, headers=headers)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    stage.http(gateway).post(target(deployment, operation), **request_)
    assert record_of(gateway)["cost_usd"] == pytest.approx(usd)


RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "background": False,
    "model": "gpt-5",
    "output": [{"type": "web_search_call", "status": "completed", "action": {"type": "search"}}],
    "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100},
    "tool_usage": {"web_search": {"num_requests": 2}},
}


def ask_for_a_response(stage: Stage, gateway: Gateway) -> None:
    stage.http(gateway).post("/openai/v1/responses", json={"model": "gpt-5", "input": "Hi"})


def test_o1_searches_of_the_web_cost_more_than_their_tokens(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=200, body=RESPONSE, headers=JSON)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    ask_for_a_response(stage, gateway)
    record = record_of(gateway)
    assert (record["tokens"]["web_searches"], record["cost_usd"]) == (2, pytest.approx(0.00225 + 0.028))


def test_o1_searches_of_provisioned_throughput_cost_as_much(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=200, body=RESPONSE, headers=JSON)
    gateway = provisioned(stage)
    ask_for_a_response(stage, gateway)
    assert record_of(gateway)["cost_usd"] == pytest.approx(0.028)


def test_o1_a_price_of_ones_own_for_searches_holds(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=200, body=RESPONSE, headers=JSON)
    pricing = '{"gpt-5": {"prompt": 1, "completion": 10, "web_search": 10}}'
    gateway = stage.gateway(["eastus"], **AT_ONCE, MODEL_PRICING=pricing)
    ask_for_a_response(stage, gateway)
    assert record_of(gateway)["cost_usd"] == pytest.approx(0.002 + 0.02)


def test_o1_a_video_costs_its_seconds_once_when_it_is_done(stage: Stage, sim: Simulator) -> None:
    """However often its client looks, and not when it fails."""
    video = {"id": "video_1", "object": "video", "model": "sora-2", "seconds": "8", "size": "1280x720"}
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    for status in ("queued", "in_progress", "completed", "completed", "failed"):
        sim.fail("eastus", count=1, status=200, body=video | {"status": status}, headers=JSON)
        assert client.get("/openai/v1/videos/video_1").json()["status"] == status
    assert value(gateway, "cost_usd_total", client="team-a", model="sora-2") == pytest.approx(0.8)


def provisioned(stage: Stage) -> Gateway:
    return stage.gateway(["eastus"], **AT_ONCE, AZURE_OPENAI_PROVISIONED_USD_PER_HOUR_0="45.5")


def test_o1_tokens_of_provisioned_throughput_cost_nothing_more(stage: Stage) -> None:
    gateway = provisioned(stage)
    chat(stage.http(gateway))
    assert record_of(gateway)["cost_usd"] == 0


def test_o1_provisioned_throughput_costs_its_hours(stage: Stage) -> None:
    assert value(provisioned(stage), "provisioned_usd_per_hour", backend="eastus") == 45.5


def test_o1_a_model_without_a_price_is_named_once(stage: Stage, sim: Simulator) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    sim.fail("eastus", status=200, body={"model": "brand-new", "usage": usage}, headers=JSON)
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    for _ in range(3):
        client.post(V1_CHAT, json=CHAT | {"model": "our-assistant"})
    assert value(gateway, "unpriced_tokens_total", deployment="our-assistant", model="brand-new") >= 1200
    assert total(gateway, "cost_usd_total") == 0
    assert "brand-new" in logged(gateway, "MODEL_PRICING")
    assert gateway.error_log.read_text().count("MODEL_PRICING") == 1
