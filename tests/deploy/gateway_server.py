"""A stand-in for the gateway: answers the first requests of a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.loopback_server import LoopbackServer, Reply, Request


@dataclass
class GatewayStandIn:
    """The key that it accepts, its next answers, and the requests that arrived as (path, key)."""

    key: str
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    """Attempts of the next answers: requests that no backend served."""
    open_to_all: bool = False
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        given = request.headers.get("api-key")
        self.requests.append((request.path, given))
        if given == self.key and self.attempts:
            return 502, {}, {"x-gateway-attempts": self.attempts.pop(0)}
        return self._status(given), {}, {"x-gateway-backend": "sweden"}

    def _status(self, key: str | None) -> int:
        if self.statuses:
            return self.statuses.pop(0)
        return 200 if self.open_to_all or key == self.key else 401


@contextmanager
def running_gateway(key: str) -> Iterator[GatewayStandIn]:
    """Run the stand-in on a free loopback port."""
    gateway = GatewayStandIn(key)
    with LoopbackServer(gateway.answer) as server:
        gateway.url = server.url
        yield gateway
