"""How a simulated region is described: its credential, deployments, quotas and latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Family = Literal["openai", "anthropic", "inference"]
"""The surfaces that a resource has or lacks together, by the beginning of their paths."""

FAMILIES: tuple[Family, ...] = get_args(Family)

LOCATIONS = {
    "australiaeast": "Australia East",
    "brazilsouth": "Brazil South",
    "canadaeast": "Canada East",
    "centralus": "Central US",
    "eastus": "East US",
    "eastus2": "East US 2",
    "francecentral": "France Central",
    "germanywestcentral": "Germany West Central",
    "japaneast": "Japan East",
    "koreacentral": "Korea Central",
    "northcentralus": "North Central US",
    "norwayeast": "Norway East",
    "southafricanorth": "South Africa North",
    "southcentralus": "South Central US",
    "southeastasia": "Southeast Asia",
    "southindia": "South India",
    "swedencentral": "Sweden Central",
    "switzerlandnorth": "Switzerland North",
    "uksouth": "UK South",
    "westeurope": "West Europe",
    "westus": "West US",
    "westus2": "West US 2",
    "westus3": "West US 3",
}
"""Azure's display names, as in the header ``x-ms-region``."""


@dataclass(frozen=True)
class Quota:
    """The quota of one deployment; ``None`` is unlimited.

    ``tpm`` is tokens and ``rpm`` is requests per minute. They are enforced over sliding windows, given in
    seconds. A window shorter than a minute gets its share (Azure enforces requests over 1 to 10 seconds).
    """

    tpm: int | None = None
    rpm: int | None = None
    token_window_s: float = 60.0
    request_window_s: float = 60.0


@dataclass(frozen=True)
class Latency:
    """Delays in milliseconds.

    ``jitter`` is the share by which each may vary, 0 to 1, from the region's seed.
    """

    first_byte_ms: float = 0.0
    per_token_ms: float = 0.0
    jitter: float = 0.0


@dataclass(frozen=True)
class PromptCaching:
    """A prompt cache: its beginnings live ``life_s`` after their last use and ``longest_s`` at most."""

    life_s: float = 300.0
    longest_s: float = 3600.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)


@dataclass(frozen=True)
class Deployment:
    """A deployment by name; answers report ``model``, by default the name."""

    name: str
    model: str | None = None
    quota: Quota = field(default_factory=Quota)


@dataclass(frozen=True)
class Region:
    """One simulated Azure OpenAI or Foundry resource.

    ``deployments``: names or :class:`Deployment`; ``None`` serves any name. ``token``: a bearer token
    accepted as that of a managed identity. ``port`` 0 picks a free one. ``quota`` holds for deployments
    without their own. ``answer_tokens`` is the length of generated answers. ``background_s`` is how long a
    background response runs. ``surfaces``: a path of another one is 404, as at a resource without it.
    ``prompt_cache``: without one, no prompt is ever cached. ``tool_calls``: what the model calls of its own
    accord, as arguments by the name of the tool.
    """

    name: str
    key: str = field(repr=False)
    secondary_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    port: int = 0
    deployments: Sequence[str | Deployment] | None = None
    quota: Quota = field(default_factory=Quota)
    latency: Latency = field(default_factory=Latency)
    answer_tokens: int = 16
    background_s: float = 1.0
    seed: int = 0
    surfaces: Sequence[Family] = FAMILIES
    prompt_cache: PromptCaching | None = None
    tool_calls: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def location(self) -> str:
        """The value of ``x-ms-region``: ``East US`` for ``eastus``, else the name itself."""
        return LOCATIONS.get(self.name, self.name)
