"""The simulated backends of a stage, by name, steered through their admin API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from e2e.simulator import Latency, Quota
from e2e.simulator.admin_commands import AdminClient

PTU = "ptu-backend-1"
PAYG_1 = "payg-backend-1"
PAYG_2 = "payg-backend-2"
BACKENDS = (PTU, PAYG_1, PAYG_2)
"""The backends of the stage, in the order of their settings."""

CHAT_100M = "gpt-35-turbo-100m-token"
CHAT_100K = "gpt-35-turbo-100k-token"
CHAT_10K = "gpt-35-turbo-10k-token"
EMBEDDING_100K = "embedding100k"
EMBEDDING = "embedding"

_REQUEST_WINDOW_SECONDS = 10.0


def _per_minute(tokens: int) -> Quota:
    """So many tokens a minute, and six requests a minute for each 1,000 of them, counted over 10 seconds."""
    return Quota(tokens, tokens * 6 // 1000, request_window_s=_REQUEST_WINDOW_SECONDS)


QUOTAS: Mapping[str, Quota] = {
    CHAT_100M: Quota(),
    CHAT_100K: _per_minute(100_000),
    CHAT_10K: _per_minute(10_000),
    EMBEDDING_100K: _per_minute(100_000),
    EMBEDDING: _per_minute(10_000),
}
"""The deployments of every simulated backend, with their quotas."""


@dataclass(frozen=True)
class Asked:
    """One request that reached a backend. `at` and `ended` are seconds since the epoch."""

    at: float
    ended: float | None
    backend: str
    path: str
    status: int | None
    fault: str | None
    client_left: bool
    key: str = field(repr=False)
    """The `api-key` that it came with. Backends are simulated, so it opens nothing."""


class Simulators:
    """All simulated backends. An unknown name raises `KeyError`, a refused change `ProblemsError`."""

    def __init__(
        self,
        urls: Mapping[str, str],
        keys: Mapping[str, str],
        admin_urls: Mapping[str, str] | None = None,
        admin_key: str | None = None,
    ) -> None:
        self.urls = dict(urls)
        self.keys = dict(keys)
        """A key that each of them accepts."""
        self._clients = {name: AdminClient(url, admin_key) for name, url in (admin_urls or urls).items()}

    def fault(self, name: str, **fault: Any) -> None:
        """Appends a fault, given by the fields of `e2e.simulator.Fault`."""
        self._send(name, "POST", "faults", [fault])

    def clear(self, *names: str) -> None:
        """Forgets all faults of these backends, or of all."""
        for name in names or self.urls:
            self._send(name, "DELETE", "faults")

    def quota(self, name: str, deployment: str, quota: Quota) -> None:
        """Gives a deployment another quota; what was used of it is forgotten."""
        self._send(name, "PUT", "quota", {deployment: asdict(quota)})

    def latency(self, name: str, latency: Latency, answer_tokens: int = 16) -> None:
        """Uses other delays, and another length of answers, from the next answer on."""
        self._send(name, "PUT", "latency", {**asdict(latency), "answer_tokens": answer_tokens})

    def reset(self) -> None:
        """Forgets faults, recordings, quotas and changed settings of all backends."""
        for name in self.urls:
            self._send(name, "DELETE", "state")

    def asked(self, names: Iterable[str] = ()) -> list[Asked]:
        """What reached these backends, or all, since the last reset; the oldest first."""
        found = []
        for name in tuple(names) or tuple(self.urls):
            records = self._send(name, "GET", "requests?bodies=false")["requests"]
            found += [
                Asked(
                    record["received_at"],
                    record["finished_at"],
                    name,
                    record["path"],
                    record["status"],
                    record["fault"],
                    record["client_disconnected"],
                    next((value for header, value in record["headers"] if header.lower() == "api-key"), ""),
                )
                for record in records
            ]
        return sorted(found, key=lambda asked: asked.at)

    def _send(self, name: str, method: str, resource: str, document: Any = None) -> Any:
        return self._clients[name].region(name, method, resource, document)
