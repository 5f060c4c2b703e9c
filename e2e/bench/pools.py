"""The backends and clients that a target is set up with."""

from __future__ import annotations

from dataclasses import dataclass

SERVING, THROTTLED, RESTING, TRIAL = "serving", "throttled", "resting", "trial"


@dataclass(frozen=True)
class Pool:
    """Backends in the order of preference, each with its kind; those of one kind are equals."""

    name: str
    backends: tuple[str, ...] = (SERVING,)
    clients: int = 1
    extra: str = ""
    """`redis`, `telemetry` or `limit`: what else is switched on; `silent`: what is taken out."""

    @property
    def members(self) -> list[tuple[str, int]]:
        """The backends as kind and number within the kind.

        >>> Pool("", ("throttled", "serving", "serving")).members
        [('throttled', 0), ('serving', 0), ('serving', 1)]
        """
        before = [self.backends[:place].count(kind) for place, kind in enumerate(self.backends)]
        return list(zip(self.backends, before, strict=True))

    @property
    def is_plain(self) -> bool:
        """Whether any gateway with one client can offer it."""
        return not self.extra and self.clients == 1 and TRIAL not in self.backends


ONE = Pool("one")
FAILOVER = Pool("failover", (THROTTLED, SERVING))
ALL_THROTTLED = Pool("all throttled", (THROTTLED, THROTTLED))
RESTING_FIRST = Pool("resting first", (RESTING, SERVING))
ALL_RESTING = Pool("all resting", (RESTING, RESTING))
TRIALS = Pool("trials", (TRIAL, SERVING))
TWO = Pool("two backends", (SERVING,) * 2)
MANY = Pool("many backends", (SERVING,) * 200)
CLIENTS = Pool("many clients", clients=5000)
REDIS = Pool("redis", extra="redis")
TELEMETRY = Pool("telemetry", extra="telemetry")
SILENT = Pool("silent", extra="silent")
LIMIT = Pool("limit", extra="limit")
POOLS = (ONE, FAILOVER, ALL_THROTTLED, TRIALS, TWO, MANY, CLIENTS, REDIS, TELEMETRY, SILENT, LIMIT)
