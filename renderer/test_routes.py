"""The routes of end-to-end tests: a path prefix for each scenario, and the pool of backends behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from renderer.model import Settings


@dataclass(frozen=True)
class Member:
    """A configured backend as one pool sees it."""

    name: str
    weight: int = 1
    priority: int = 0
    """Higher ones are preferred, as everywhere in this gateway."""


@dataclass(frozen=True)
class Reserve:
    """What low-priority requests leave to high ones."""

    by: Literal["report", "count"]
    """Who knows what is left: backends report it, or the gateway counts it and then enforces the limits."""
    tokens: Mapping[str, int]
    """What deployments allow in a minute."""
    requests: Mapping[str, int]
    """What they allow in 10 seconds."""
    percent: int = 30
    """Low requests are refused when less than this part of a limit is left."""
    probe_seconds: int = 10
    """So often one of them finds out what is left, when no high request does. By report only."""


@dataclass(frozen=True)
class Pool:
    """Some of the configured backends, with weights and priorities of its own. All pools share state."""

    name: str
    """Also the prefix of its paths: `/round-robin-simple/openai/…`."""
    members: tuple[Member, ...]
    algorithm: str = "roundrobin"
    follows_preference: bool = False
    """Whether `GATEWAY_E2E_PREFERRED_BACKENDS` orders its backends."""
    reserve: Reserve | None = None


_PTU, _PAYG_1, _PAYG_2 = "ptu-backend-1", "payg-backend-1", "payg-backend-2"

_EQUAL = (Member(_PAYG_1), Member(_PAYG_2))
_TWO_TO_ONE = (Member(_PAYG_1, weight=2), Member(_PAYG_2))
_SPILLOVER = (Member(_PTU, priority=1), Member(_PAYG_1))
_BEST_FIRST = (Member(_PAYG_1, priority=1), Member(_PAYG_2))
_ALL = (Member(_PTU), Member(_PAYG_1), Member(_PAYG_2))

_TOKENS = {
    "gpt-35-turbo-10k-token": 10_000,
    "gpt-35-turbo-100k-token": 100_000,
    "embedding": 10_000,
    "embedding100k": 100_000,
}
_REQUESTS = {name: tokens // 1000 for name, tokens in _TOKENS.items()}
_COUNTED = Reserve("count", _TOKENS, _REQUESTS)
_REPORTED = Reserve("report", _TOKENS, _REQUESTS)

POOLS = (
    # The prefixes of Azure-Samples/apim-genai-gateway-toolkit.
    Pool("round-robin-simple", _EQUAL),
    Pool("round-robin-simple-v2", _EQUAL),
    Pool("round-robin-weighted", _TWO_TO_ONE),
    Pool("round-robin-weighted-v2", _TWO_TO_ONE),
    Pool("retry-with-payg", _SPILLOVER),
    Pool("retry-with-payg-v2", _SPILLOVER),
    Pool("latency-routing", _BEST_FIRST, follows_preference=True),
    Pool("usage-tracking", (Member(_PAYG_1),)),
    Pool("prioritization-token-calculating", (Member(_PTU),), reserve=_COUNTED),
    Pool("prioritization-token-tracking", (Member(_PTU),), reserve=_REPORTED),
    # Scenarios of our own.
    Pool("latency-preference", _EQUAL, algorithm="latency"),
    Pool("throttle-storm", _ALL),
    Pool("region-outage", _ALL),
    Pool("stream-faults", _ALL),
    Pool("key-rotation", _ALL),
    Pool("responses-affinity", _ALL),
    Pool("noisy-neighbour", _ALL),
    Pool("scalability", _ALL),
    Pool("scalability-burst", _ALL),
)
"""Every pool that tests know, by the names that the backends of the end-to-end stage have."""


def pools_of(settings: Settings) -> tuple[Pool, ...]:
    """The pools to render: in `GATEWAY_E2E_TEST_MODE` those whose backends are all configured, else none."""
    if not settings.gateway.e2e_test_mode:
        return ()
    configured = {backend.name for backend in settings.backends}
    preferred = settings.end_to_end.preferred_backends or ()
    return tuple(
        _with_preferred_first(pool, preferred) if pool.follows_preference else pool
        for pool in POOLS
        if all(member.name in configured for member in pool.members)
    )


def _with_preferred_first(pool: Pool, preferred: Sequence[str]) -> Pool:
    """The same pool with the backends in `preferred` first, in that order, and the others behind them."""
    own = [member.name for member in sorted(pool.members, key=lambda member: -member.priority)]
    order = [name for name in dict.fromkeys([*preferred, *own]) if name in own]
    ranks = {name: rank for rank, name in enumerate(reversed(order))}
    members = tuple(replace(member, priority=ranks[member.name]) for member in pool.members)
    return replace(pool, members=members)
