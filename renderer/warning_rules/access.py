"""Who may call what: a gateway that is open to everybody, and allow-lists of what nobody serves."""

from __future__ import annotations

from collections.abc import Iterator

from renderer.draft import Draft
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.model.gateway import Gateway
from renderer.names import variable
from renderer.parsers.urls import is_loopback
from renderer.problems import Problem


def _open(draft: Draft) -> Iterator[Problem]:
    gateway, backends = draft.group(Gateway), draft.valid(Backend)
    if gateway is None or gateway.require_auth or gateway.e2e_test_mode:
        return
    if not all(is_loopback(backend.endpoint) for backend in backends.values()):
        clients = ", also without the keys of the clients" if draft.members[Client] else ""
        yield Problem(
            variable(Gateway, "require_auth"),
            f"is off: everybody who reaches the gateway uses the backends at your cost{clients}",
            f"Remove it, and set {variable(Client, 'name', 0)} and {variable(Client, 'key', 0)}",
        )


def _unserved_deployments(draft: Draft) -> Iterator[Problem]:
    gateway, backends = draft.group(Gateway), draft.valid(Backend)
    lists = [backend.deployments for backend in backends.values() if backend.deployments is not None]
    if gateway is None or not lists or len(lists) < len(draft.members[Backend]):
        return
    served = {name for deployments in lists for name in deployments} | set(gateway.deployment_fallbacks or ())
    for index, client in draft.valid(Client).items():
        unserved = [name for name in client.deployments or () if name not in served]
        if unserved:
            names = ", ".join(f"'{name}'" for name in unserved)
            yield Problem(
                variable(Client, "deployments", index),
                f"allows {names}, which no backend lists",
                f"Write one of {', '.join(sorted(served))}, or add it to {variable(Backend, 'deployments')}",
            )


RULES = (_open, _unserved_deployments)
