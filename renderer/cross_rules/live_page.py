"""Rules about the live page: who may watch has to be somebody that the gateway can tell from others."""

from __future__ import annotations

from collections.abc import Iterator

from renderer.draft import Draft
from renderer.model.clients import Client
from renderer.model.gateway import Gateway, LivePage
from renderer.names import variable
from renderer.problems import Problem

_ACCESS = variable(LivePage, "access")
_OPERATORS = variable(LivePage, "operators")


def _keys_need_authentication(draft: Draft) -> Iterator[Problem]:
    page, gateway = draft.group(LivePage), draft.group(Gateway)
    if page is None or gateway is None or page.access != "keys" or gateway.require_auth:
        return
    require_auth = variable(Gateway, "require_auth")
    yield Problem(
        _ACCESS,
        f"is keys, but clients have none: {require_auth} is off",
        f"Set {require_auth}=true, or {_ACCESS} to local or off",
    )


def _operators(draft: Draft) -> Iterator[Problem]:
    page, clients = draft.group(LivePage), draft.valid(Client)
    if page is None or page.operators is None:
        return
    if page.access != "keys":
        yield Problem(
            _OPERATORS, f"has no effect without {_ACCESS}=keys", f"Set {_ACCESS}=keys, or remove it"
        )
    if len(clients) < len(draft.members[Client]):
        return
    known = [client.name for client in clients.values()]
    for name in page.operators:
        if name not in known:
            yield Problem(
                _OPERATORS,
                f"names the client '{name}', which does not exist",
                f"Write names of clients: {', '.join(known[:10])}{', …' if len(known) > 10 else ''}",
            )


RULES = (_keys_need_authentication, _operators)
