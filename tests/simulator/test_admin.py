"""The admin API scripts and inspects a running simulator over HTTP."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from e2e.simulator import Region, Simulator
from tests.simulator.conftest import CHAT, CHAT_PATH


@pytest.fixture
def admin(sim: Simulator) -> httpx.Client:
    return httpx.Client(base_url=sim.endpoint("eastus") + "/_simulator", trust_env=False)


def test_faults_are_appended_and_counted_down(admin: httpx.Client, http: httpx.Client) -> None:
    admin.post("/faults", json={"status": 500, "count": 2})
    http.post(CHAT_PATH, json=CHAT)
    assert admin.get("/faults").json()["faults"] == [{"status": 500, "count": 2, "left": 1, "hits": 1}]


def test_put_replaces_all_faults(admin: httpx.Client) -> None:
    admin.post("/faults", json={"status": 500})
    admin.put("/faults", json=[{"reset": True}, {"status": 429}])
    faults = admin.get("/faults").json()["faults"]
    assert [next(iter(fault)) for fault in faults] == ["reset", "status"]


def test_delete_clears_faults(admin: httpx.Client, http: httpx.Client) -> None:
    admin.post("/faults", json={"status": 500})
    admin.delete("/faults")
    assert http.post(CHAT_PATH, json=CHAT).status_code == 200


def test_all_problems_of_a_fault_come_at_once(admin: httpx.Client) -> None:
    answer = admin.post("/faults", json={"staus": 429, "count": 0, "split": 0})
    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 3
    assert "fault[0].staus: unknown name, did you mean status?" in answer.json()["errors"]


def test_wrong_faults_leave_the_script_as_it_was(admin: httpx.Client) -> None:
    admin.post("/faults", json={"status": 500})
    admin.put("/faults", json=[{"status": 429}, {"status": 1}])
    assert [fault["status"] for fault in admin.get("/faults").json()["faults"]] == [500]


def test_requests_are_described(admin: httpx.Client, http: httpx.Client) -> None:
    http.post(CHAT_PATH, content=b'{"messages": 1}')
    record = admin.get("/requests").json()["requests"][0]
    assert (record["method"], record["path"], record["size"]) == ("POST", CHAT_PATH, 15)
    assert base64.b64decode(record["body_base64"]) == b'{"messages": 1}'
    assert ["api-key", "key-east"] in record["headers"]
    assert record["client_disconnected"] is False


def test_admin_requests_are_not_recorded(sim: Simulator, admin: httpx.Client) -> None:
    admin.get("/state")
    assert sim.requests("eastus") == []


def test_requests_can_be_forgotten(admin: httpx.Client, http: httpx.Client) -> None:
    http.post(CHAT_PATH, json=CHAT)
    admin.delete("/requests")
    assert admin.get("/requests").json() == {"requests": []}


def test_quota_can_be_changed(admin: httpx.Client, http: httpx.Client) -> None:
    admin.put("/quota", json={"gpt-4o": {"rpm": 1}})
    assert [http.post(CHAT_PATH, json=CHAT).status_code for _ in range(2)] == [200, 429]


def test_quota_of_an_unknown_deployment_is_refused(admin: httpx.Client) -> None:
    answer = admin.put("/regions/westus/quota", json={"gpt-5": {"rpm": 1}})
    assert answer.status_code == 404
    assert "gpt-4o" in answer.json()["errors"][0]


def test_latency_can_be_changed(admin: httpx.Client) -> None:
    admin.put("/latency", json={"first_byte_ms": 5, "answer_tokens": 9})
    assert admin.get("/latency").json() == {
        "first_byte_ms": 5,
        "per_token_ms": 0,
        "jitter": 0,
        "answer_tokens": 9,
    }


def test_surfaces_can_be_changed(admin: httpx.Client) -> None:
    admin.put("/surfaces", json={"inference": False})
    shown = admin.get("/surfaces").json()
    assert (shown["openai"], shown["inference"]) == (True, False)


def test_prompt_cache_can_be_turned_on_emptied_and_off(admin: httpx.Client, http: httpx.Client) -> None:
    assert admin.get("/prompt_cache").json() == {"enabled": False}
    admin.put("/prompt_cache", json={"life_s": 60})
    http.post(CHAT_PATH, json={"messages": [{"role": "user", "content": "four" * 1100}]})
    shown = admin.get("/prompt_cache").json()
    assert shown == {"enabled": True, "life_s": 60, "longest_s": 3600, "beginnings": 1}
    assert admin.delete("/prompt_cache").json()["beginnings"] == 0
    assert admin.put("/prompt_cache", json={"enabled": False}).json() == {"enabled": False}


def test_tool_calls_are_shown_and_replaced(admin: httpx.Client) -> None:
    admin.put("/tool_calls", json={"get_weather": {"city": "Oslo"}})
    admin.put("/tool_calls", json={"get_time": {}})
    assert admin.get("/tool_calls").json() == {"get_time": {}}


def test_delete_state_resets_the_region(sim: Simulator, admin: httpx.Client, http: httpx.Client) -> None:
    sim.fail("eastus", status=500, count=1)
    http.post(CHAT_PATH, json=CHAT)
    http.post("/openai/v1/responses", json={"model": "m", "input": "x"})
    admin.delete("/state")
    state = admin.get("/state").json()
    assert (state["requests"], state["answers"], state["stored"], state["faults"]) == (0, 0, {}, [])


def test_any_region_is_reached_through_any_port(admin: httpx.Client, west: httpx.Client) -> None:
    admin.post("/regions/westus/faults", json={"status": 503})
    assert west.post(CHAT_PATH, json=CHAT).status_code == 503
    assert list(admin.get("/regions").json()["regions"]) == ["eastus", "westus"]


def test_refusing_region_can_be_opened_through_another(admin: httpx.Client, west: httpx.Client) -> None:
    admin.post("/regions/westus/faults", json={"refuse": True})
    with pytest.raises(httpx.ConnectError):
        west.get("/openai/v1/models")
    admin.delete("/regions/westus/faults")
    assert west.get("/openai/v1/models").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/regions/northpole/state", 404),
        ("PATCH", "/faults", 405),
        ("DELETE", "/quota", 405),
    ],
)
def test_wrong_admin_request_is_explained(admin: httpx.Client, method: str, path: str, status: int) -> None:
    answer = admin.request(method, path)
    assert answer.status_code == status
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    ("resource", "document"),
    [
        ("faults", "text"),
        ("quota", []),
        ("quota", {"m": {"rpm": "x"}}),
        ("latency", 1),
        ("latency", {"jitter": "x"}),
        ("prompt_cache", {"life_s": 0}),
        ("prompt_cache", {"lifes": 5}),
        ("surfaces", {"gopher": True}),
        ("surfaces", {"openai": "perhaps"}),
        ("tool_calls", {"get_weather": "Oslo"}),
    ],
)
def test_malformed_document_is_refused(admin: httpx.Client, resource: str, document: Any) -> None:
    assert admin.put(f"/{resource}", json=document).status_code == 400


def test_admin_key_is_required_once_it_is_set() -> None:
    with Simulator([Region("one", key="k")], admin_key="open sesame") as simulator:
        url = simulator.endpoint("one") + "/_simulator/state"
        answers = [
            httpx.get(url, headers=headers, trust_env=False).status_code
            for headers in ({}, {"x-simulator-admin-key": "wrong"}, {"x-simulator-admin-key": "open sesame"})
        ]
        health = httpx.get(simulator.endpoint("one") + "/_simulator/health", trust_env=False)
    assert answers == [403, 403, 200]
    assert health.status_code == 200


def test_state_never_shows_keys(admin: httpx.Client) -> None:
    assert "key-east" not in admin.get("/regions").text
