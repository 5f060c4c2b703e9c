"""What a load consists of: phases, and in each phase groups of users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CLIENTS = ("client-one", "client-two", "client-three")
"""The clients of the stage."""


@dataclass(frozen=True)
class Users:
    """A group of users that do the same at the same pace.

    `does` names a behaviour of `e2e.load.behaviours`; `options` are its arguments. `pace_s` is the time
    between the beginnings of one user's requests. It is longer when an answer takes longer. Two options are
    for all behaviours: `replica` is the number of the gateway's replica that they use, and with `any_replica`
    each request draws one; else each user has one, in turn.
    """

    label: str
    count: int
    does: str
    route: str
    pace_s: float = 0.1
    clients: tuple[str, ...] = CLIENTS[:1]
    """Whose keys they use; with several, each request draws one."""
    lane: str = ""
    """The value of `x-priority`; empty for none."""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """Groups of users that run together for `seconds`."""

    phase: str
    seconds: float
    users: tuple[Users, ...]

    def as_json(self, urls: list[str], keys: Mapping[str, str], seed: int) -> dict[str, Any]:
        """What the driver reads: this load with the addresses of the gateway and the keys of the clients."""
        return asdict(self) | {"urls": urls, "keys": dict(keys), "seed": seed}
