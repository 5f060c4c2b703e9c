"""`key-rotation`: keys of clients and of backends change under load."""

from __future__ import annotations

import httpx

from e2e.criteria import Criterion, at_least, none
from e2e.load.plan import CLIENTS, Users
from e2e.local_settings import backend_key
from e2e.scenarios.scenario import Event, Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.targets.local import client_key
from e2e.targets.simulators import BACKENDS, CHAT_100M
from e2e.targets.stage import RELOAD, SIMULATORS, Stage, TargetError
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.names import variable

ROUTE = "key-rotation"
NEW_KEY = "second-key-of-client-one-of-the-stage"
ROTATING = CLIENTS[0]


def _users() -> tuple[Users, ...]:
    options = {"deployment": CHAT_100M}
    return (Users("chat", 6, "chat", ROUTE, 0.12, clients=(ROTATING,), options=options),)


def _add_the_new(stage: Stage) -> None:
    stage.change_settings({variable(Client, "key_secondary", 0): NEW_KEY})


def _use_the_new(stage: Stage) -> None:
    stage.keys[ROTATING] = NEW_KEY


def _remove_the_old(stage: Stage) -> None:
    stage.change_settings({variable(Client, "key", 0): NEW_KEY, variable(Client, "key_secondary", 0): ""})


def _rotate_backends(stage: Stage) -> None:
    keys = stage.simulators.keys
    stage.change_settings(
        {variable(Backend, "key", index): keys[name] for index, name in enumerate(BACKENDS)}
    )


def _try_the_old(stage: Stage) -> None:
    """The old key of the client has to be refused by now."""
    path = f"/{ROUTE}/openai/deployments/{CHAT_100M}/chat/completions?api-version=2023-05-15"
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    headers = {"api-key": client_key(ROTATING)}
    status = httpx.post(stage.urls[0] + path, json=body, headers=headers, trust_env=False).status_code
    if status != httpx.codes.UNAUTHORIZED:
        raise TargetError(f"the removed key of a client gets {status} instead of 401")


def _judge(evidence: Evidence) -> list[Criterion]:
    last = evidence.asked_in("new keys everywhere")
    old_keys = {backend_key(name) for name in BACKENDS}
    old = sum(asked.key in old_keys for asked in last)
    return [
        failures("failed requests", evidence.samples, 300),
        at_least("changes of the running configuration", len(evidence.marks), 3, len(evidence.samples), 300),
        none("calls of backends with their old keys at the end", old, len(last), 50),
    ]


SCENARIOS = (
    Scenario(
        ROUTE,
        "Keys of clients and backends are replaced under load, and no request is lost.",
        (
            Phase("old key", 5, _users(), during=(Event(0.4, "second key added", _add_the_new),)),
            Phase(
                "new key",
                7,
                _users(),
                before=_use_the_new,
                during=(
                    Event(0.2, "first key removed", _remove_the_old),
                    Event(0.6, "keys of backends replaced", _rotate_backends),
                ),
            ),
            Phase("new keys everywhere", 4, _users(), before=_try_the_old),
        ),
        _judge,
        needs=frozenset({SIMULATORS, RELOAD}),
    ),
)
