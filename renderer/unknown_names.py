"""Variables that were meant for the gateway, but are unknown to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from rapidfuzz import process
from rapidfuzz.distance import OSA

from renderer.names import is_known, numbered_stems, scalar_names
from renderer.problems import Problem

# Every variable that begins so is ours, hence a mistake when the model does not know it. Prefixes that other
# software uses as well (AZURE_, REDIS_, OTEL_, ENABLE_, APISIX_ …) are not here: for those only a near miss
# of a known name is a mistake.
OWN_PREFIXES = (
    "AI_PROXY_",
    "AI_RATE_LIMIT_",
    "AZURE_OPENAI_",
    "BREAKER_",
    "COOLDOWN_",
    "CORS_",
    "ENTRA_",
    "GATEWAY_",
    "LB_",
    "LOW_LANE_",
    "QUOTA_",
    "RATE_LIMIT_",
)

# The OpenAI SDKs read these; a shell or container may have them for other programs.
SDK_VARIABLES = frozenset(
    {"AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_API_VERSION", "AZURE_OPENAI_ENDPOINT"}
)

# Kubernetes and Docker describe a service called "gateway" with variables like GATEWAY_PORT_9080_TCP_ADDR.
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?$")

_NUMBER = re.compile(r"(?<!\d)\d{1,9}(?!\d)")
_SHORTEST_NEAR_MISS = 8


def unknown_names(unknown: Mapping[str, str]) -> list[Problem]:
    """One problem for each unknown variable that was evidently meant for the gateway.

    Example: `{"AZURE_OPENAI_WIEGHT_0": "1"}` → one problem that suggests `AZURE_OPENAI_WEIGHT_0`.
    """
    problems = []
    for name, text in unknown.items():
        if name in SDK_VARIABLES or _is_service_link(name, text):
            continue
        suggestion = _suggestion(name)
        if suggestion is not None or name.startswith(OWN_PREFIXES):
            problems.append(Problem(name, "is not a setting of the gateway", remedy_for(suggestion)))
    return problems


def remedy_for(suggestion: str | None) -> str:
    """What to do about an unknown variable that resembles `suggestion`."""
    return f"Did you mean {suggestion}?" if suggestion else "Remove it, or look its name up in the reference"


def _suggestion(name: str) -> str | None:
    spelt_right = name.upper().replace("-", "_")  # as in Key Vault: azure-openai-key-0
    if is_known(spelt_right):
        return spelt_right
    return closest_name(name) if name.startswith(OWN_PREFIXES) else _near_miss(name)


def _is_service_link(name: str, text: str) -> bool:
    return bool(_SERVICE_LINK.search(name)) or (name.endswith("_PORT") and text.startswith("tcp://"))


def closest_name(name: str) -> str | None:
    """The known variable that resembles `name` most, with the same index where it has one.

    Example: `AZURE_OPENAI_WEIGHTS_12` → `AZURE_OPENAI_WEIGHT_12`.
    """
    found = difflib.get_close_matches(name, _candidates(name), n=1, cutoff=0.75)
    return found[0] if found else None


def _candidates(name: str) -> list[str]:
    """What `name` may be meant for: the plain variables, and the numbered ones with its last number."""
    numbers = _NUMBER.findall(name)
    index = int(numbers[-1]) if numbers else 0  # reads the digits of any script
    return sorted([*scalar_names(), *(f"{stem}_{index}" for stem in numbered_stems())])


def _near_miss(name: str) -> str | None:
    """A known variable one slip of the keyboard away; two slips for long names.

    A slip inserts, deletes or replaces a letter, or swaps two neighbours.
    """
    slips = 1 if len(name) <= 12 else 2
    candidates = [known for known in _candidates(name) if len(known) >= _SHORTEST_NEAR_MISS]
    found = process.extractOne(name, candidates, scorer=OSA.distance, score_cutoff=slips)
    return found[0] if found else None
