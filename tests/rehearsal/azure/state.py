"""Everything that the cloud knows. A copy of it is a point of a story, from which a test can go on."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

TENANT = "11111111-2222-3333-4444-555555555555"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000000a"
OPERATOR = "99999999-8888-7777-6666-555555555555"
"""The object id of the person who is logged in."""

Resource = dict[str, Any]


@dataclass
class Operation:
    """A long-running operation: how many more times it is still running, and how it ends."""

    resource: str
    left: int = 1
    error: dict[str, str] | None = None


@dataclass
class Blob:
    """A blob, and the lease that is the lock of a state."""

    content: bytes
    etag: int
    metadata: dict[str, str] = field(default_factory=dict)
    lease: str = ""


@dataclass
class Secret:
    """The versions of a secret, the newest last: id and value."""

    versions: list[tuple[str, str]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Vault:
    """The secrets of a vault, and the deleted ones that can be recovered."""

    secrets: dict[str, Secret] = field(default_factory=dict)
    deleted: dict[str, Secret] = field(default_factory=dict)


@dataclass
class Revision:
    """A revision of a Container App: its template, its state, and what its containers printed."""

    name: str
    template: dict[str, Any]
    running_state: str = "Running"
    health_state: str = "Healthy"
    provisioning_state: str = "Provisioned"
    provisioning_error: str = ""
    logs: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    """The variables of the init container, secrets among them."""


@dataclass
class State:
    """The state of the cloud. Ids and host names are keys in lower case."""

    resources: dict[str, Resource] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    registered: set[str] = field(default_factory=set)
    vaults: dict[str, Vault] = field(default_factory=dict)
    deleted: dict[str, Resource] = field(default_factory=dict)
    """Soft-deleted vaults and accounts: a name of theirs is not free."""
    blobs: dict[str, Blob] = field(default_factory=dict)
    """By `account/container/name`."""
    images: dict[str, list[str]] = field(default_factory=dict)
    """`repository:tag` by registry."""
    runs: dict[str, Resource] = field(default_factory=dict)
    revisions: dict[str, list[Revision]] = field(default_factory=dict)
    """By the id of the app, the newest last."""
    counter: int = 0

    def next_number(self) -> int:
        self.counter += 1
        return self.counter

    def guid(self) -> str:
        """An id that is the same in every run."""
        return f"aaaaaaaa-0000-4000-8000-{self.next_number():012x}"

    def find(self, resource_id: str) -> Resource | None:
        return self.resources.get(resource_id.lower())

    def below(self, resource_id: str) -> list[str]:
        """The keys of a resource and of all that it contains."""
        key = resource_id.lower()
        return [each for each in self.resources if each == key or each.startswith(f"{key}/")]

    def of_type(self, resource_type: str) -> Iterator[Resource]:
        for item in self.resources.values():
            if item.get("type", "").lower() == resource_type.lower():
                yield item

    def copy(self) -> Self:
        return copy.deepcopy(self)


@dataclass
class Ledger:
    """What was sent: kept over all stories."""

    requests: int = 0
    validated: Counter[str] = field(default_factory=Counter)
    """Bodies by `type version method`."""
    not_validated: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    """Bodies that do not follow their definition, with what is wrong."""
    tolerated: Counter[str] = field(default_factory=Counter)
    """What a definition refuses and Azure takes."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Requests that the stand-in has no answer for."""

    def summary(self) -> str:
        """What was sent, and what of it was checked against which definition."""

        def listed(found: Counter[str]) -> list[str]:
            return [f"  {number:4} {name}" for name, number in sorted(found.items())]

        return "\n".join(
            [
                f"{self.requests} requests; {sum(self.validated.values())} bodies validated:",
                *listed(self.validated),
                f"{sum(self.not_validated.values())} bodies not validated, for want of a definition:",
                *listed(self.not_validated),
                f"{len(self.refused)} complaints about bodies:",
                *self.refused,
                f"{sum(self.tolerated.values())} complaints that Azure does not make:",
                *listed(self.tolerated),
                f"{len(self.unknown)} kinds of requests without an answer:",
                *listed(self.unknown),
            ]
        )
