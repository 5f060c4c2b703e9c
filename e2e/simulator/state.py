"""What one region knows while it runs: its current settings, quota meters and stored objects."""

from __future__ import annotations

import time
from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import uuid4

from e2e.simulator.answers import Json
from e2e.simulator.error_bodies import deployment_not_found
from e2e.simulator.prompt_cache import PromptCache
from e2e.simulator.quotas import QuotaMeter
from e2e.simulator.regions import FAMILIES, Deployment, Family, Latency, PromptCaching, Quota, Region


class RegionState:
    """The part of a :class:`Region` that changes. Used only on the event loop's thread."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.latency = region.latency
        self.answer_tokens = region.answer_tokens
        self.surfaces: set[Family] = set(region.surfaces)
        self.prompt_cache: PromptCache | None = None
        self.cache_prompts(region.prompt_cache)
        self.tool_calls: dict[str, Json] = dict(region.tool_calls)
        self.store = Store()
        self.generated = 0
        self._random = Random(region.seed)  # noqa: S311 - repeatable, not secret
        self._named = {d.name: d for d in _as_deployments(region)}
        self._meters: dict[str, QuotaMeter] = {}
        self._latencies: dict[str, Latency] = {}

    def offers(self) -> dict[Family, bool]:
        """Which surfaces the region offers."""
        return {family: family in self.surfaces for family in FAMILIES}

    def offer(self, changes: Mapping[Family, bool]) -> None:
        """Offer surfaces, or no longer."""
        for family, offered in changes.items():
            (self.surfaces.add if offered else self.surfaces.discard)(family)

    def cache_prompts(self, caching: PromptCaching | None) -> None:
        """Begin with an empty prompt cache, or cache no prompts."""
        self.prompt_cache = (
            None if caching is None else PromptCache(caching.life_s, caching.longest_s, caching.clock)
        )

    def deployment_names(self) -> list[str] | None:
        """The served deployments, or ``None`` when any name is served."""
        return None if self.region.deployments is None else list(self._named)

    def find_deployment(self, name: str) -> Deployment | None:
        """The deployment with this name, or ``None`` when the region does not serve it."""
        if name in self._named:
            return self._named[name]
        if name and self.region.deployments is None:
            return Deployment(name, quota=self.region.quota)
        return None

    def deployment(self, name: str) -> Deployment:
        """The deployment with this name. Raises 404 for an unknown name."""
        found = self.find_deployment(name)
        if found is None:
            raise deployment_not_found()
        return found

    def meter(self, name: str) -> QuotaMeter:
        """The quota meter of a deployment."""
        if name not in self._meters:
            self._meters[name] = QuotaMeter(self.deployment(name).quota)
        return self._meters[name]

    def quotas(self) -> dict[str, Quota]:
        """The quota of every deployment that is configured or was used."""
        named = {name: deployment.quota for name, deployment in self._named.items()}
        return named | {name: meter.quota for name, meter in self._meters.items()}

    def set_quota(self, name: str, quota: Quota) -> None:
        """Give a deployment another quota; its meter starts empty."""
        self._meters[self.deployment(name).name] = QuotaMeter(quota)

    def forget_use(self) -> None:
        """Let every quota start empty."""
        self._meters = {name: QuotaMeter(meter.quota) for name, meter in self._meters.items()}

    def next_number(self) -> int:
        """The number of the next generated answer, from 1."""
        self.generated += 1
        return self.generated

    def latency_of(self, operation: str) -> Latency:
        """The delays of an operation, for example ``chat/completions``."""
        return self._latencies.get(operation, self.latency)

    def first_byte_s(self, operation: str) -> float:
        """The next delay before an answer, in seconds."""
        latency = self.latency_of(operation)
        return self._jittered(latency.first_byte_ms, latency.jitter)

    def token_s(self, operation: str) -> float:
        """The next delay before a token, in seconds."""
        latency = self.latency_of(operation)
        return self._jittered(latency.per_token_ms, latency.jitter)

    def set_latency(self, latency: Latency, operation: str | None = None) -> None:
        """Use other delays from the next answer on: for all operations, or for one of them only."""
        if operation is not None:
            self._latencies[operation] = latency
            return
        self.latency = latency
        self._latencies.clear()

    def _jittered(self, milliseconds: float, jitter: float) -> float:
        if not milliseconds:
            return 0.0
        spread = jitter * (2 * self._random.random() - 1)
        return milliseconds * (1 + spread) / 1000


class Store:
    """Stored objects by kind (``responses``, ``files``, …) and id, in the order of their creation."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Any]] = {}

    def put(self, kind: str, key: str, value: Any) -> None:
        """Keep an object; it replaces one with the same id."""
        self._kinds.setdefault(kind, {})[key] = value

    def get(self, kind: str, key: str) -> Any | None:
        """An object, or ``None``."""
        return self._kinds.get(kind, {}).get(key)

    def remove(self, kind: str, key: str) -> Any | None:
        """Drop and return an object, or ``None``."""
        return self._kinds.get(kind, {}).pop(key, None)

    def all(self, kind: str) -> list[Any]:
        """All objects of a kind, oldest first."""
        return list(self._kinds.get(kind, {}).values())

    def sizes(self) -> dict[str, int]:
        """How many objects of each kind there are."""
        return {kind: len(objects) for kind, objects in self._kinds.items()}


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``resp_0f…``; unique over regions and runs."""
    return f"{prefix}{uuid4().hex}"


def listing(objects: list[Json], query: Mapping[str, str] | None = None) -> Json:
    """A list object in the service's form.

    ``after``, ``before`` and ``limit`` of a query choose the page; without them, all is on one page.
    """
    wanted = query or {}
    ids = [str(found.get("id")) for found in objects]
    first = ids.index(wanted["after"]) + 1 if wanted.get("after") in ids else 0
    end = ids.index(wanted["before"]) if wanted.get("before") in ids else len(ids)
    limit = int(wanted.get("limit", end - first))
    if wanted.get("before") in ids:
        first = max(first, end - limit)
    page = objects[first : min(end, first + limit)]
    more = objects[:first] if wanted.get("before") in ids else objects[first + len(page) :]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0].get("id") if page else None,
        "last_id": page[-1].get("id") if page else None,
        "has_more": bool(more),
    }


def now() -> int:
    """The time in seconds since the epoch, as ``created`` fields carry it."""
    return int(time.time())


def _as_deployments(region: Region) -> list[Deployment]:
    wanted = region.deployments or ()
    return [d if isinstance(d, Deployment) else Deployment(d, quota=region.quota) for d in wanted]
