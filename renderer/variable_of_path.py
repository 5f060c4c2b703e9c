"""Which variable a place in the rendered files comes from, so that a problem can name it."""

from __future__ import annotations

from renderer.model import (
    Backend,
    Balancing,
    Client,
    Cors,
    EntraAuth,
    Failover,
    Gateway,
    Group,
    IpRestriction,
    PromptGuard,
    Quota,
    RateLimit,
    Redis,
    Telemetry,
    TokenLimits,
)
from renderer.names import variable

Path = list[str | int]

_GATEWAY = "plugin_metadata/azure-openai-gateway"
_AUTH = "plugin_metadata/azure-openai-auth"

_SECTIONS: dict[str, type[Group]] = {
    "failover": Failover,
    "limits": TokenLimits,
    "redis": Redis,
}

_BALANCER = {"algorithm": "algorithm", "hash_on": "hash_on", "key": "hash_key"}

_PLUGIN_FIELDS: dict[str, tuple[type[Group], dict[str, str]]] = {
    "cors": (
        Cors,
        {
            "allow_origins": "allow_origins",
            "allow_methods": "allow_methods",
            "allow_headers": "allow_headers",
            "expose_headers": "expose_headers",
            "allow_credential": "allow_credentials",
            "max_age": "max_age",
        },
    ),
    "ip-restriction": (IpRestriction, {"whitelist": "allowlist", "blacklist": "denylist"}),
    "limit-req": (RateLimit, {"rate": "rate", "burst": "burst"}),
    "limit-count": (Quota, {"count": "count", "time_window": "time_window"}),
    "azure-openai-prompt-guard": (
        PromptGuard,
        {"deny_patterns": "deny_patterns", "allow_patterns": "allow_patterns"},
    ),
    "openid-connect": (
        EntraAuth,
        {"client_id": "audience", "discovery": "tenant_id", "claim_schema": "allowed_app_ids"},
    ),
    "opentelemetry": (Telemetry, {"sampler": "sample_rate", "collector": "collector_endpoint"}),
}

_REDIS_FIELDS = {"redis_host": "host", "redis_port": "port", "redis_password": "password", "redis_ssl": "tls"}


def variable_of_path(block: str, path: Path) -> str | None:
    """The variable behind `path` in `block` (such as `routes/inference/cors`); None when there is none."""
    if not path:
        return None
    head, rest = str(path[0]), path[1:]
    if block == _GATEWAY:
        return _of_gateway(head, rest)
    if block == _AUTH and head == "clients":
        return _of_member(Client, rest, {"key_sha256": "key"})
    plugin = block.rsplit("/", 1)[-1]
    if head in _REDIS_FIELDS:
        return variable(Redis, _REDIS_FIELDS[head])
    if head == "max_req_body_size":
        return variable(Gateway, "max_request_body_mb")
    group, fields = _PLUGIN_FIELDS.get(plugin, (Gateway, {}))
    return variable(group, fields[head]) if head in fields else None


def _of_gateway(head: str, rest: Path) -> str | None:
    if head == "backends":
        return _of_member(Backend, rest, {})
    if head == "balancer" and rest and str(rest[0]) in _BALANCER:
        return variable(Balancing, _BALANCER[str(rest[0])])
    if head in _SECTIONS and rest and str(rest[0]) in _SECTIONS[head].model_fields:
        return variable(_SECTIONS[head], str(rest[0]))
    if head == "pricing":
        return variable(Telemetry, "model_pricing")
    return variable(Gateway, head) if head in Gateway.model_fields else None


def _of_member(group: type[Backend] | type[Client], rest: Path, renamed: dict[str, str]) -> str | None:
    """The variable of member N: its index in the rendered list is its number."""
    if len(rest) < 2 or not isinstance(rest[0], int):
        return None
    field = renamed.get(str(rest[1]), str(rest[1]))
    return variable(group, field, rest[0]) if field in group.model_fields else None
