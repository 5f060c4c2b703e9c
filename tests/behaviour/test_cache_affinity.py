"""B5: the requests of a conversation meet the backend that has their prompt in its cache."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import httpx
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import API_VERSION, CLIENT_KEY, REGIONS, TLS, Stage
from tests.behaviour.e2e_stage import e2e_gateway
from tests.behaviour.support import V1_CHAT, V1_RESPONSES, attempts, winner

# More than 1,024 tokens.
SYSTEM = "You are a careful engineer. " * 200
DEPLOYMENT_CHAT = f"/openai/deployments/gpt-4o/chat/completions?api-version={API_VERSION}"
TURNS = 6


def conversation(name: str, turns: int = 0, system: str = SYSTEM) -> list[dict[str, str]]:
    """Messages of a conversation after so many turns; it differs from others by its first question."""
    history = [{"role": "user", "content": f"Question {name}"}]
    for turn in range(turns):
        history += [{"role": "assistant", "content": f"{turn}"}, {"role": "user", "content": f"More {turn}"}]
    return [{"role": "system", "content": system}, *history]


def ask(client: httpx.Client, messages: Any, **members: Any) -> httpx.Response:
    return client.post(V1_CHAT, json={"model": "gpt-4o", "messages": messages, **members})


def winners(client: httpx.Client, name: str, turns: int = TURNS, **members: Any) -> list[str]:
    return [winner(ask(client, conversation(name, turn), **members)) for turn in range(turns)]


def other_messages(name: str, turn: int) -> list[dict[str, str]]:
    return conversation(name, turn)[1:]


BODIES: dict[str, Any] = {
    V1_CHAT: lambda name, turn: {"model": "gpt-4o", "messages": conversation(name, turn)},
    DEPLOYMENT_CHAT: lambda name, turn: {"messages": conversation(name, turn)},
    V1_RESPONSES: lambda name, turn: {
        "model": "gpt-4o",
        "instructions": SYSTEM,
        "input": other_messages(name, turn),
    },
    "/anthropic/v1/messages": lambda name, turn: {
        "model": "claude",
        "max_tokens": 9,
        "system": SYSTEM,
        "messages": other_messages(name, turn),
    },
}


@pytest.mark.parametrize("path", BODIES, ids=[path.partition("?")[0] for path in BODIES])
def test_b5_a_conversation_meets_one_backend(stage: Stage, path: str) -> None:
    surfaces = {f"AZURE_OPENAI_SURFACES_{index}": "openai,anthropic" for index in range(3)}
    client = stage.http(stage.gateway(REGIONS, **surfaces))
    client.headers["anthropic-version"] = "2023-06-01"
    seen = {winner(client.post(path, json=BODIES[path]("a", turn))) for turn in range(TURNS)}
    assert len(seen) == 1


def test_b5_many_conversations_meet_all_backends_by_their_weights(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS, AZURE_OPENAI_WEIGHT_0=2))
    count = Counter(winner(ask(client, conversation(str(number)))) for number in range(120))
    shares = {region: count[region] / 120 for region in REGIONS}
    # So much may be passed on only when it would be more.
    assert shares["eastus"] <= 0.5 * 1.25
    assert max(shares["westus"], shares["swedencentral"]) <= 0.25 * 1.25


def test_b5_a_busy_conversation_is_passed_on(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS[:2]))
    count = Counter(winners(client, "a", 60))
    assert max(count.values()) <= 60 * 0.5 * 1.25


def test_b5_few_requests_are_not_passed_on(stage: Stage) -> None:
    assert len(set(winners(stage.http(stage.gateway(REGIONS)), "a", 10))) == 1


def test_b5_a_key_of_the_client_decides(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS))
    seen = {
        winner(ask(client, conversation(str(number)), prompt_cache_key="session-1"))
        for number in range(TURNS)
    }
    assert len(seen) == 1


def test_b5_short_prompts_take_turns(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS))
    seen = [winner(ask(client, conversation("a", turn, "Be brief."))) for turn in range(3)]
    assert sorted(seen) == sorted(REGIONS)


@pytest.mark.parametrize(
    "settings",
    [{"PROMPT_CACHE_AFFINITY": "false"}, {"LB_ALG": "latency"}],
    ids=["off", "latency"],
)
def test_b5_it_is_off(stage: Stage, settings: dict[str, str]) -> None:
    assert len(set(winners(stage.http(stage.gateway(REGIONS, **settings)), "a", 9))) > 1


def test_b5_test_routes_take_turns(stage: Stage) -> None:
    client = stage.http(e2e_gateway(stage))
    body = {"model": "gpt-4o", "messages": conversation("a")}
    seen = {winner(client.post(f"/round-robin-simple{V1_CHAT}", json=body)) for _ in range(4)}
    assert len(seen) == 2


def test_b5_higher_priorities_come_first(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS, AZURE_OPENAI_PRIORITY_2=1))
    assert {winner(ask(client, conversation(str(number)))) for number in range(9)} == {"swedencentral"}


def test_b5_a_conversation_leaves_a_throttled_backend_and_comes_back(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(REGIONS))
    [home] = set(winners(client, "a", 2))
    sim.fail(home, status=429, retry_after_ms=300, count=1)
    away = attempts(ask(client, conversation("a", 2)))
    assert away[0] == f"{home}:429"
    # Its conversations meet one other backend, while those of others stay.
    elsewhere = away[1].partition(":")[0]
    assert winner(ask(client, conversation("a", 3))) in (elsewhere, home)

    def is_back() -> bool:
        return winner(ask(client, conversation("a", 4))) == home

    assert eventually(is_back, seconds=5)


def test_b5_a_moved_conversation_stays_where_it_is(stage: Stage) -> None:
    """Each move costs as much as a new conversation."""
    client = stage.http(stage.gateway(REGIONS[:2]))
    seen = winners(client, "a", 40)
    assert sum(one != other for one, other in pairwise(seen)) <= 3


def agents(count: int, turn: int) -> list[list[dict[str, str]]]:
    """Conversations that begin alike: what tells them apart is the user's second message."""
    shared = {"role": "user", "content": "This is the project."}
    return [[conversation("")[0], shared, *conversation(str(number), turn)[1:]] for number in range(count)]


def test_b5_conversations_of_one_kind_move_one_by_one(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS[:2]))
    seen = [[winner(ask(client, messages)) for messages in agents(8, turn)] for turn in range(8)]
    moves = sum(one != other for of_one in zip(*seen, strict=True) for one, other in pairwise(of_one))
    assert moves <= 2 * 8
    assert max(Counter(itertools.chain(*seen)).values()) <= 64 * 0.5 * 1.25


def test_b5_conversations_of_one_kind_begin_at_one_backend(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS))
    assert len({winner(ask(client, messages)) for messages in agents(9, 1)}) == 1


def _block_of(message: dict[str, str], mark: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {**message, "content": [{"type": "text", "text": message["content"], **(mark or {})}]}


def messages_of_claude_code(turn: int, nonce: int) -> dict[str, Any]:
    """The marks of the cache move along, and the first line of the system text changes with each request."""
    mark = {"cache_control": {"type": "ephemeral"}}
    *earlier, last = other_messages("a" * 9000, turn)
    billing = f"x-anthropic-billing-header: cc_version=2.1; cch={nonce:05x};"
    return {
        "model": "claude",
        "max_tokens": 9,
        "system": [{"type": "text", "text": billing}, {"type": "text", "text": SYSTEM, **mark}],
        "messages": [*map(_block_of, earlier), _block_of(last, mark)],
    }


def test_b5_what_is_no_text_for_the_model_changes_nothing(stage: Stage) -> None:
    surfaces = {f"AZURE_OPENAI_SURFACES_{index}": "openai,anthropic" for index in range(3)}
    client = stage.http(stage.gateway(REGIONS, **surfaces))
    client.headers["anthropic-version"] = "2023-06-01"
    bodies = [messages_of_claude_code(turn, nonce=turn) for turn in range(9)]
    assert len({winner(client.post("/anthropic/v1/messages", json=body)) for body in bodies}) == 1


def test_b5_workers_count_together(stage: Stage) -> None:
    """Each connection may meet another worker."""
    gateway = stage.gateway(REGIONS[:2], workers=2)
    count: Counter[str] = Counter()
    for turn in range(40):
        with httpx.Client(base_url=gateway.url, headers={"api-key": CLIENT_KEY}, verify=TLS) as client:
            count[winner(ask(client, conversation("a", turn)))] += 1
    assert max(count.values()) <= 40 * 0.5 * 1.25


def test_b5_what_has_its_place_counts_too(stage: Stage) -> None:
    """The owner of a chain is busy, so another backend gets what may go anywhere."""
    client = stage.http(stage.gateway(REGIONS[:2]))
    body = {"model": "gpt-4o", "instructions": SYSTEM, "input": "Hello"}
    answer = client.post(V1_RESPONSES, json=body)
    for _ in range(14):
        previous = {"previous_response_id": answer.json()["id"]}
        answer = client.post(V1_RESPONSES, json=body | previous)
    assert winner(client.post(V1_RESPONSES, json=body)) != winner(answer)


def test_b5_two_clients_share_no_key(stage: Stage) -> None:
    """Sixteen prompts that both send. With the same keys they would meet the same backends each time."""
    other = "client-key-of-team-b-0001"
    gateway = stage.gateway(REGIONS, GATEWAY_CLIENT_NAME_1="team-b", GATEWAY_CLIENT_KEY_1=other)
    first, second = stage.http(gateway), stage.http(gateway, other)
    prompts = [conversation(str(number)) for number in range(16)]
    assert [winner(ask(first, one)) for one in prompts] != [winner(ask(second, one)) for one in prompts]
