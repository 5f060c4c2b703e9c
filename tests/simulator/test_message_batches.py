"""Message batches of the Anthropic surface: stored per region, ended by the first look."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from e2e.simulator import Simulator

PATH = "/anthropic/v1/messages/batches"
PARAMS = {"model": "claude", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def claude(http: httpx.Client) -> httpx.Client:
    http.headers["anthropic-version"] = "2023-06-01"
    return http


def requests(count: int = 1, **params: Any) -> dict[str, Any]:
    return {"requests": [{"custom_id": str(n), "params": {**PARAMS, **params}} for n in range(count)]}


def created(client: httpx.Client, **params: Any) -> str:
    return str(client.post(PATH, json=requests(**params)).json()["id"])


def results(client: httpx.Client, batch_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.get(f"{PATH}/{batch_id}/results").text.splitlines()]


def test_s6_a_new_batch_is_in_progress(claude: httpx.Client) -> None:
    batch = claude.post(PATH, json=requests(3)).json()
    assert batch["id"].startswith("msgbatch_")
    assert (batch["type"], batch["processing_status"]) == ("message_batch", "in_progress")
    assert (batch["request_counts"]["processing"], batch["results_url"]) == (3, None)


def test_s6_the_first_look_ends_a_batch(claude: httpx.Client) -> None:
    batch_id = claude.post(PATH, json=requests(3)).json()["id"]
    batch = claude.get(f"{PATH}/{batch_id}").json()
    assert (batch["processing_status"], batch["request_counts"]["succeeded"]) == ("ended", 3)
    assert batch["request_counts"]["processing"] == 0


def test_s6_results_are_one_line_for_each_request(claude: httpx.Client) -> None:
    batch_id = claude.post(PATH, json=requests(3)).json()["id"]
    claude.get(f"{PATH}/{batch_id}")
    lines = results(claude, batch_id)
    assert [line["custom_id"] for line in lines] == ["0", "1", "2"]
    assert lines[0]["result"]["message"]["content"][0]["text"].startswith("eastus/claude#")


def test_s6_the_url_of_the_results_leads_to_them(claude: httpx.Client) -> None:
    batch_id = created(claude)
    url = claude.get(f"{PATH}/{batch_id}").json()["results_url"]
    assert claude.get(url).headers["content-type"] == "application/x-jsonl"


def test_s6_a_request_may_fail_alone(claude: httpx.Client) -> None:
    body = {"requests": [{"custom_id": "a", "params": PARAMS}, {"custom_id": "b", "params": {}}]}
    batch_id = claude.post(PATH, json=body).json()["id"]
    counts = claude.get(f"{PATH}/{batch_id}").json()["request_counts"]
    assert (counts["succeeded"], counts["errored"]) == (1, 1)
    failed = results(claude, batch_id)[1]["result"]
    assert failed["error"]["error"]["type"] == "invalid_request_error"


def test_s6_results_come_only_at_the_end(claude: httpx.Client) -> None:
    assert claude.get(f"{PATH}/{created(claude)}/results").status_code == 404


def test_s6_a_cancelled_batch_has_no_answers(claude: httpx.Client) -> None:
    batch_id = created(claude)
    assert claude.post(f"{PATH}/{batch_id}/cancel").json()["processing_status"] == "canceling"
    assert claude.get(f"{PATH}/{batch_id}").json()["request_counts"]["canceled"] == 1
    assert results(claude, batch_id)[0]["result"] == {"type": "canceled"}


def test_s6_a_batch_that_has_ended_cannot_be_cancelled(claude: httpx.Client) -> None:
    batch_id = created(claude)
    claude.get(f"{PATH}/{batch_id}")
    assert claude.post(f"{PATH}/{batch_id}/cancel").status_code == 400


def test_s6_only_a_batch_that_has_ended_can_be_deleted(claude: httpx.Client) -> None:
    batch_id = created(claude)
    assert claude.delete(f"{PATH}/{batch_id}").status_code == 400
    claude.get(f"{PATH}/{batch_id}")
    assert claude.delete(f"{PATH}/{batch_id}").json() == {"id": batch_id, "type": "message_batch_deleted"}
    assert claude.get(f"{PATH}/{batch_id}").json()["error"]["type"] == "not_found_error"


def test_s6_lists_are_newest_first_and_in_pages(claude: httpx.Client) -> None:
    made = [created(claude) for _ in range(5)][::-1]
    page = claude.get(PATH, params={"limit": 2, "after_id": made[0]}).json()
    assert ([batch["id"] for batch in page["data"]], page["has_more"]) == (made[1:3], True)
    page = claude.get(PATH, params={"limit": 2, "before_id": made[4]}).json()
    assert [batch["id"] for batch in page["data"]] == made[2:4]


def test_s6_an_empty_list(claude: httpx.Client) -> None:
    empty = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert claude.get(PATH).json() == empty


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", ""])
def test_s6_a_senseless_limit_is_refused(claude: httpx.Client, limit: str) -> None:
    assert claude.get(PATH, params={"limit": limit}).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requests": []},
        {"requests": [{"custom_id": "a"}]},
        {"requests": [{"params": PARAMS}]},
        {"requests": [{"custom_id": "a", "params": PARAMS}] * 2},
    ],
)
def test_s6_a_malformed_batch_is_refused(claude: httpx.Client, body: dict[str, Any]) -> None:
    answer = claude.post(PATH, json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_s6_a_batch_is_unknown_elsewhere(claude: httpx.Client, west: httpx.Client) -> None:
    answer = west.get(f"{PATH}/{created(claude)}", headers={"anthropic-version": "2023-06-01"})
    assert answer.json()["error"]["type"] == "not_found_error"


def test_s6_a_reset_forgets_batches(sim: Simulator, claude: httpx.Client) -> None:
    created(claude)
    sim.reset()
    assert claude.get(PATH).json()["data"] == []
