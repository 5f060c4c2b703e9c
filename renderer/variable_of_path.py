"""From a place in the rendered files back to its variable, so a problem can name the variable."""

from __future__ import annotations

from collections.abc import Mapping

from renderer.model.backends import Backend, Balancing, Failover
from renderer.model.clients import Client, TokenLimits
from renderer.model.gateway import Gateway, Redis, Telemetry
from renderer.model.group import Group, NumberedGroup
from renderer.model.guardrails import Cors, EntraAuth, IpRestriction, PromptGuard, Quota, RateLimit
from renderer.names import variable

Path = list[str | int]

# The group behind a part of the files, and its fields that have another name there.
_Origin = tuple[type[Group], Mapping[str, str]]

_SECTIONS: dict[str, _Origin] = {
    "balancer": (Balancing, {"key": "hash_key"}),
    "failover": (Failover, {}),
    "limits": (TokenLimits, {}),
    "redis": (Redis, {}),
    "telemetry": (Telemetry, {}),
}
_PLUGINS: dict[str, _Origin] = {
    "cors": (Cors, {"allow_credential": "allow_credentials"}),
    "ip-restriction": (IpRestriction, {"whitelist": "allowlist", "blacklist": "denylist"}),
    "limit-req": (RateLimit, {}),
    "limit-count": (Quota, {}),
    "azure-openai-prompt-guard": (PromptGuard, {}),
    "openid-connect": (
        EntraAuth,
        {"client_id": "audience", "discovery": "tenant_id", "claim_schema": "allowed_app_ids"},
    ),
}
_REDIS_FIELDS = {"redis_host": "host", "redis_port": "port", "redis_password": "password", "redis_ssl": "tls"}


def variable_of_path(block: str, path: Path) -> str | None:
    """The variable that `path` in `block` comes from; None when no variable does.

    Example: `("routes/inference/cors", ["max_age"])` → `CORS_MAX_AGE`.
    """
    if not path:
        return None
    head, rest = str(path[0]), path[1:]
    if block == "plugin_metadata/azure-openai-gateway":
        return _of_gateway(head, rest)
    if block == "plugin_metadata/azure-openai-auth" and head == "clients":
        return _of_member(Client, rest, {"key_sha256": "key"})
    if head in _REDIS_FIELDS:
        return variable(Redis, _REDIS_FIELDS[head])
    if head == "max_req_body_size":
        return variable(Gateway, "max_request_body_mb")
    plugin = block.rsplit("/", 1)[-1]
    return _of_group(_PLUGINS[plugin], head) if plugin in _PLUGINS else None


def _of_gateway(head: str, rest: Path) -> str | None:
    if head == "backends":
        return _of_member(Backend, rest, {})
    if head in _SECTIONS:
        return _of_group(_SECTIONS[head], str(rest[0])) if rest else None
    return variable(Telemetry, "model_pricing") if head == "pricing" else _of_group((Gateway, {}), head)


def _of_group(origin: _Origin, name: str, index: int | None = None) -> str | None:
    group, renamed = origin
    field = renamed.get(name, name)
    return variable(group, field, index) if field in group.model_fields else None


def _of_member(group: type[NumberedGroup], rest: Path, renamed: Mapping[str, str]) -> str | None:
    """The variable of a numbered member; its index in the rendered list is its number."""
    if len(rest) < 2 or not isinstance(rest[0], int):
        return None
    return _of_group((group, renamed), str(rest[1]), rest[0])
