"""Addresses that are none of Azure's resources, and domains of Azure with a slip of the keyboard in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rapidfuzz.distance import OSA

from renderer.draft import Draft
from renderer.model.backends import Backend
from renderer.model.gateway import Redis
from renderer.names import variable
from renderer.parsers.urls import AZURE_DOMAINS, ENDPOINT_REMEDY, host_of, no_resource
from renderer.problems import Problem

RESOURCE_DOMAINS = (
    *(f"{kind}{cloud}" for kind in ("openai", "cognitiveservices", "services.ai") for cloud in AZURE_DOMAINS),
    "azure-api.net",
    "api.cognitive.microsoft.com",
)
"""Domains of resources that serve models, and of API Management in front of them."""

REDIS_DOMAINS = (
    "redis.cache.windows.net",
    "redis.cache.usgovcloudapi.net",
    "redis.cache.chinacloudapi.cn",
    "redis.azure.net",
)

_MOST_SLIPS = 2


def _endpoints(draft: Draft) -> Iterator[Problem]:
    for index, backend in draft.valid(Backend).items():
        host = host_of(backend.endpoint)
        found = _doubt_about(host)
        if found is not None:
            yield Problem(variable(Backend, "endpoint", index), *found)


def _doubt_about(host: str) -> tuple[str, str] | None:
    if other := no_resource(host):
        return other, ENDPOINT_REMEDY
    if host in RESOURCE_DOMAINS:
        return "lacks the name of the resource", f"Write https://<name of the resource>.{host}"
    meant = meant_domain(host, RESOURCE_DOMAINS)
    return (f"has a domain that looks like {meant}, but is not", f"Did you mean {meant}?") if meant else None


def _redis(draft: Draft) -> Iterator[Problem]:
    redis = draft.group(Redis)
    meant = meant_domain(redis.host.lower(), REDIS_DOMAINS) if redis is not None and redis.host else None
    if meant:
        what = f"has a domain that looks like {meant}, but is not"
        yield Problem(variable(Redis, "host"), what, f"Did you mean {meant}?")


def meant_domain(host: str, domains: Sequence[str]) -> str | None:
    """The domain that a host is one or two slips away from; None when it has one of them, or none is close.

    Example: `("a.opnai.azure.com", RESOURCE_DOMAINS)` → `openai.azure.com`.
    """
    labels = host.split(".")
    if any(host.endswith(f".{domain}") for domain in domains):
        return None
    slips: dict[str, int] = {}
    for domain in domains:
        # A dot may be missing or too many.
        tails = {".".join(labels[1:]), ".".join(labels[-domain.count(".") - 1 :])}
        slips[domain] = min(OSA.distance(tail, domain) for tail in tails)
    closest = min(slips, key=slips.__getitem__)
    return closest if slips[closest] <= _MOST_SLIPS else None


RULES = (_endpoints, _redis)
