"""Backends, how one of them is chosen, and what happens when it fails."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from renderer.model.group import Group, NumberedGroup, milliseconds, seconds, setting
from renderer.parsers.basics import (
    BackendName,
    Deployments,
    Flag,
    HashKey,
    HeaderSecret,
    Label,
    Surfaces,
    TokenLimits,
)
from renderer.parsers.urls import Endpoint, HttpsUrl, name_from_endpoint, surfaces_of, token_scope_of


class Backend(NumberedGroup):
    """One Azure OpenAI or Foundry resource and the credential for it."""

    title = "Backends"
    prefix = "AZURE_OPENAI"
    member = "backend"
    about = "One group of variables for each Azure OpenAI or Foundry resource, numbered from 0 without gaps."

    endpoint: Endpoint = setting(
        "ENDPOINT",
        about="The resource, such as `https://my-resource.openai.azure.com`, without path or query. "
        "`http` is accepted for loopback addresses and in end-to-end test mode only.",
    )
    key: HeaderSecret | None = setting(
        "KEY", None, about="Its key. Required unless `AUTH` is `managed-identity`.", shown="required"
    )
    name: BackendName = setting(
        "NAME", about="Unique name in metrics, logs and response headers.", shown="the resource's name"
    )
    weight: int = setting(
        "WEIGHT", 1, ge=0, le=10_000, about="Share of the requests among equals; 0 drains the backend."
    )
    priority: int = setting(
        "PRIORITY",
        0,
        ge=-10_000,
        le=10_000,
        about="Backends with the highest number serve; the others serve while none of those is available.",
    )
    region: Label | None = setting(
        "REGION", None, about="Label in metrics.", shown="learned from `x-ms-region`"
    )
    deployments: Deployments | None = setting(
        "DEPLOYMENTS",
        None,
        about="The deployments it serves, each optionally renamed: `gpt-4o,embeddings=emb-3-small`.",
        shown="any",
    )
    surfaces: Surfaces = setting(
        "SURFACES",
        about="What the resource offers: `openai` (Azure OpenAI), `anthropic` (Claude on Foundry) and "
        "`inference` (Foundry's model inference API).",
        shown="all three for `….services.ai.azure.com`, else `openai`",
    )
    auth: Literal["key", "managed-identity"] = setting("AUTH", "key", about="How the gateway signs in.")
    tokens_per_minute: TokenLimits | None = setting(
        "TOKENS_PER_MINUTE",
        None,
        about="Limits of deployments whose answers do not name them, for the reserve of the low lane: "
        "`gpt-4o=100000,embeddings=50000`.",
        shown="learned",
    )
    provisioned_usd_per_hour: float | None = setting(
        "PROVISIONED_USD_PER_HOUR",
        None,
        ge=0,
        le=1_000_000,
        about="For provisioned throughput: what its units cost an hour, used or not. Its tokens then cost "
        "nothing more; dashboards add the hours.",
        unit="USD",
        shown="paid by tokens",
    )
    client_id: Label | None = setting(
        "CLIENT_ID",
        None,
        about="User-assigned identity, for managed identity.",
        shown="`AZURE_CLIENT_ID`",
    )
    token_scope: HttpsUrl | None = setting(
        "TOKEN_SCOPE",
        None,
        about="The scope of the token, for managed identity, on every surface. Without it, the surface "
        f"`anthropic` takes `{token_scope_of(None, 'anthropic')}`. For endpoints of the US Government and "
        "China clouds the defaults end in `.azure.us/.default` and `.azure.cn/.default`.",
        shown=f"`{token_scope_of(None)}`",
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_endpoint(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        endpoint = data.get("endpoint")
        return {"name": name_from_endpoint(endpoint), "surfaces": surfaces_of(endpoint), **data}

    @property
    def token_scopes(self) -> dict[str, str]:
        """The scope of the token for each surface, by its name."""
        return {name: self.token_scope or token_scope_of(self.endpoint, name) for name in self.surfaces}


class Balancing(Group):
    """How a backend is chosen among equals."""

    title = "Load balancing"

    algorithm: Literal["roundrobin", "chash", "latency"] = setting(
        "LB_ALG",
        "roundrobin",
        about="Weighted round robin; consistent hashing; or `latency`: weights that also follow how soon "
        "each backend begins to answer.",
    )
    prompt_cache_affinity: Flag = setting(
        "PROMPT_CACHE_AFFINITY",
        True,
        about="With `roundrobin`: whether the requests of a conversation meet the same backend among equals, "
        "which has their prompt in its cache. A backend that gets more than 1.2 times its share passes them "
        "on.",
    )
    hash_on: Literal["header", "cookie", "vars", "consumer"] = setting(
        "LB_HASH_ON", "header", about="For `chash`: where the hash key is taken from."
    )
    hash_key: HashKey | None = setting(
        "LB_HASH_KEY",
        None,
        about="For `chash`: name of that header, cookie or variable, such as `x-session-id`. "
        "Not needed with `LB_HASH_ON=consumer`.",
    )


class Failover(Group):
    """Bounds of the attempts for one request, and how long a failing backend is left alone."""

    title = "Failover"

    connect_timeout_ms: int = milliseconds("AI_PROXY_CONNECT_TIMEOUT_MS", 5_000, "Limit to connect.")
    read_timeout_ms: int = milliseconds(
        "AI_PROXY_READ_TIMEOUT_MS", 600_000, "Limit between two reads from a backend."
    )
    retry_within_ms: int = milliseconds(
        "AI_PROXY_RETRY_WITHIN_MS",
        60_000,
        "A failure that took longer than this is not tried again elsewhere.",
    )
    max_attempts: int | None = setting(
        "AI_PROXY_MAX_ATTEMPTS",
        None,
        ge=1,
        le=10_000,
        about="Most backends that are asked for one request. A repeat at the same backend does not count.",
        shown="all candidates",
    )
    stream_probe_ms: int = milliseconds(
        "AI_PROXY_STREAM_PROBE_MS",
        1_000,
        "How long a stream's beginning is held back to catch an error in it; 0 turns it off.",
        least=0,
    )
    responses_probe_ms: int = milliseconds(
        "AI_PROXY_RESPONSES_PROBE_MS",
        10_000,
        "The same for streams of Responses, which can fail seconds after they began; 0 turns it off.",
        least=0,
    )
    stream_heartbeat_seconds: int = seconds(
        "AI_PROXY_STREAM_HEARTBEAT_SECONDS",
        30,
        "Silent streams get a comment this often; 0 turns it off.",
        least=0,
    )
    max_wait_ms: int = milliseconds(
        "AI_PROXY_MAX_WAIT_MS",
        0,
        "How long a request waits for a backend that is about to recover; 0 turns it off.",
        least=0,
    )
    cooldown_default_seconds: int = seconds(
        "COOLDOWN_DEFAULT_SECONDS", 10, "Cool-down after a 429 that does not say how long."
    )
    cooldown_max_seconds: int = seconds("COOLDOWN_MAX_SECONDS", 120, "Longest cool-down.")
    breaker_failures: int = setting(
        "BREAKER_FAILURES", 3, ge=1, le=10_000, about="Consecutive failures that open the breaker."
    )
    breaker_open_seconds: int = seconds("BREAKER_OPEN_SECONDS", 10, "First pause of an open breaker.")
    breaker_max_open_seconds: int = seconds("BREAKER_MAX_OPEN_SECONDS", 60, "Longest pause.")
    breaker_override_concurrency: int = setting(
        "BREAKER_OVERRIDE_CONCURRENCY",
        16,
        ge=1,
        le=10_000,
        about="Requests at a time that go past an open breaker when no other backend is left.",
    )
