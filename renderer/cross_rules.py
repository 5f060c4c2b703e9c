"""Rules between settings: what no single field can tell."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pydantic import SecretStr

from renderer.model import (
    MINIMUM_KEY_LENGTH,
    Backend,
    Balancing,
    Client,
    Cors,
    EntraAuth,
    Failover,
    Gateway,
    Group,
    IpRestriction,
    NumberedGroup,
    PromptGuard,
    Quota,
    RateLimit,
    Redis,
    Settings,
)
from renderer.names import variable
from renderer.parsers import is_loopback
from renderer.problems import Problem
from renderer.wording import in_sentence

G = TypeVar("G", bound=Group)
M = TypeVar("M", bound=NumberedGroup)

_JWT_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*")


@dataclass
class Parsed:
    """What has been parsed so far: a group or member that is itself invalid is None."""

    values: dict[str, str]
    groups: dict[str, Group | None] = field(default_factory=dict)
    members: dict[type[NumberedGroup], dict[int, NumberedGroup | None]] = field(default_factory=dict)

    def group(self, kind: type[G]) -> G | None:
        """The group of that class, when it is valid."""
        return next((group for group in self.groups.values() if isinstance(group, kind)), None)

    def valid(self, kind: type[M]) -> dict[int, M]:
        """The valid members of a numbered group, by index."""
        return {i: cast("M", m) for i, m in self.members[kind].items() if m is not None}

    def settings(self) -> Settings:
        """The whole; to be called when nothing was found wrong."""
        backends = tuple(self.valid(Backend).values())
        clients = tuple(self.valid(Client).values())
        groups: dict[str, Any] = dict(self.groups)
        return Settings(backends=backends, clients=clients, **groups)


def check(parsed: Parsed) -> Iterator[Problem]:
    """Apply every rule to what is valid so far."""
    for rule in _RULES:
        yield from rule(parsed)


def _some_backend(parsed: Parsed) -> Iterator[Problem]:
    if parsed.members[Backend]:
        return
    unnumbered = " (the SDK's AZURE_OPENAI_ENDPOINT without a number is not read)"
    seen = unnumbered if "AZURE_OPENAI_ENDPOINT" in parsed.values else ""
    yield Problem(
        "AZURE_OPENAI_ENDPOINT_0",
        f"is missing: there is no backend{seen}",
        "Set it to the endpoint of a resource, and AZURE_OPENAI_KEY_0 to its key",
    )


def _backend_credentials(parsed: Parsed) -> Iterator[Problem]:
    for index, backend in parsed.valid(Backend).items():
        if backend.auth == "key":
            if backend.key is None:
                yield Problem(
                    variable(Backend, "key", index),
                    f"is missing: backend {backend.name} has no credential",
                    f"Set it to the key, or set {variable(Backend, 'auth', index)}=managed-identity",
                )
            for name in ("client_id", "token_scope"):
                if name in backend.model_fields_set:
                    yield Problem(
                        variable(Backend, name, index),
                        "is for managed identity, but the backend signs in with a key",
                        f"Remove it, or set {variable(Backend, 'auth', index)}=managed-identity",
                    )


def _plain_http(parsed: Parsed) -> Iterator[Problem]:
    gateway = parsed.group(Gateway)
    if gateway is None or gateway.e2e_test_mode:
        return
    for index, backend in parsed.valid(Backend).items():
        if backend.endpoint.startswith("http://") and not is_loopback(backend.endpoint):
            yield Problem(
                variable(Backend, "endpoint", index),
                "is plain http, which would send the key in the clear",
                "Write https:// (http is for loopback addresses and GATEWAY_E2E_TEST_MODE=true only)",
            )


def _unique_names(parsed: Parsed) -> Iterator[Problem]:
    for kind in (Backend, Client):
        first: dict[str, int] = {}
        for index, member in parsed.valid(kind).items():
            name = str(getattr(member, "name"))  # noqa: B009 - the two classes share no declared field
            if name in first:
                yield Problem(
                    variable(kind, "name", index),
                    f"makes a second {kind.member} called '{name}', after {kind.member} {first[name]}",
                    f"Set {variable(kind, 'name', index)} to a name of its own",
                )
            first.setdefault(name, index)


def _client_keys(parsed: Parsed) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    entra = parsed.group(EntraAuth)
    for index, client in parsed.valid(Client).items():
        for name in ("key", "key_secondary"):
            secret = cast("SecretStr | None", getattr(client, name))
            if secret is None:
                continue
            key, where = secret.get_secret_value(), variable(Client, name, index)
            if len(key) < MINIMUM_KEY_LENGTH:
                yield Problem(
                    where,
                    f"has {len(key)} characters, which can be guessed",
                    f"Write a random key of at least {MINIMUM_KEY_LENGTH} characters (openssl rand -hex 24)",
                )
            if key in owners:
                yield Problem(where, f"is the same key as {owners[key]}", "Give every client keys of its own")
            if entra is not None and entra.enabled and _JWT_SHAPE.fullmatch(key):
                yield Problem(
                    where,
                    "has the shape of a token, and with ENABLE_ENTRA_AUTH tokens are left to Entra ID",
                    "Write a key without dots",
                )
            owners.setdefault(key, where)


def _client_credentials(parsed: Parsed) -> Iterator[Problem]:
    for index in parsed.members[Client]:
        key, second, app_id = (variable(Client, name, index) for name in ("key", "key_secondary", "app_id"))
        if key in parsed.values:
            continue
        if second in parsed.values:
            yield Problem(second, "is a second key, but there is no first", f"Set it as {key}, or set both")
        elif app_id not in parsed.values:
            yield Problem(
                key,
                "is missing: the client has no credential",
                f"Set it to a random key (openssl rand -hex 24), or set {app_id} for tokens of Entra ID",
            )


def _client_applications(parsed: Parsed) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    entra = parsed.group(EntraAuth)
    for index, client in parsed.valid(Client).items():
        if client.app_id is None:
            continue
        where, switch = variable(Client, "app_id", index), variable(EntraAuth, "enabled")
        if entra is not None and not entra.enabled:
            yield Problem(where, f"has no effect without {switch}", f"Set {switch}=true, or remove it")
        if client.app_id in owners:
            yield Problem(
                where,
                f"is the same application as {owners[client.app_id]}",
                "Give every application one client",
            )
        owners.setdefault(client.app_id, where)


def _somebody_may_call(parsed: Parsed) -> Iterator[Problem]:
    gateway, entra = parsed.group(Gateway), parsed.group(EntraAuth)
    if gateway is None or entra is None:
        return
    if gateway.require_auth and not entra.enabled and not parsed.members[Client]:
        yield Problem(
            "GATEWAY_CLIENT_KEY_0",
            "is missing: clients must sign in, but there is no client",
            "Set GATEWAY_CLIENT_NAME_0 and GATEWAY_CLIENT_KEY_0, or open the gateway to everybody with "
            "GATEWAY_REQUIRE_AUTH=false",
        )
    if entra.enabled and not gateway.require_auth:
        yield Problem(
            variable(EntraAuth, "enabled"),
            "asks for tokens while GATEWAY_REQUIRE_AUTH=false lets everybody in",
            "Remove one of the two",
        )


def _some_weight(parsed: Parsed) -> Iterator[Problem]:
    backends = parsed.members[Backend]
    valid = parsed.valid(Backend)
    if backends and len(valid) == len(backends) and all(b.weight == 0 for b in valid.values()):
        yield Problem(
            "AZURE_OPENAI_WEIGHT_*",
            "are all 0, which drains every backend",
            "Give at least one backend a weight of 1 or more",
        )


def _home_backend(parsed: Parsed) -> Iterator[Problem]:
    gateway = parsed.group(Gateway)
    backends = parsed.valid(Backend)
    if gateway is None or gateway.home_backend is None or len(backends) < len(parsed.members[Backend]):
        return
    known = [backend.name for backend in backends.values()]
    if gateway.home_backend not in known:
        yield Problem(
            variable(Gateway, "home_backend"),
            f"names the backend '{gateway.home_backend}', which does not exist",
            f"Write one of {', '.join(known[:10])}{', …' if len(known) > 10 else ''}",
        )


def _bounds(parsed: Parsed) -> Iterator[Problem]:
    failover = parsed.group(Failover)
    if failover is None:
        return
    pairs = (
        ("cooldown_default_seconds", "cooldown_max_seconds"),
        ("breaker_open_seconds", "breaker_max_open_seconds"),
    )
    for least, most in pairs:
        if getattr(failover, least) > getattr(failover, most):
            yield Problem(
                variable(Failover, least),
                f"({getattr(failover, least)} s) is more than {variable(Failover, most)} "
                f"({getattr(failover, most)} s)",
                f"Lower it, or raise {variable(Failover, most)}",
            )


def _trusted_proxies(parsed: Parsed) -> Iterator[Problem]:
    gateway = parsed.group(Gateway)
    if gateway is None:
        return
    for cidr in gateway.trusted_proxies:
        if ipaddress.ip_network(cidr).prefixlen == 0:
            yield Problem(
                variable(Gateway, "trusted_proxies"),
                f"has {cidr}, so that every client could choose the address that it is known by",
                "List the addresses of the proxies in front of the gateway only",
            )


def _hash_key(parsed: Parsed) -> Iterator[Problem]:
    balancing = parsed.group(Balancing)
    if balancing is None or balancing.algorithm != "chash" or balancing.hash_on == "consumer":
        return
    if balancing.hash_key is None:
        yield Problem(
            variable(Balancing, "hash_key"),
            "is missing: LB_ALG=chash needs to know what to hash",
            f"Set it to the name of a {balancing.hash_on.removesuffix('s')}, such as x-session-id",
        )


def _redis(parsed: Parsed) -> Iterator[Problem]:
    redis = parsed.group(Redis)
    if redis is None or redis.host is not None:
        return
    for name in ("password", "tls"):
        if name in redis.model_fields_set:
            yield Problem(
                variable(Redis, name), "has no effect without REDIS_HOST", "Set REDIS_HOST, or remove it"
            )


def _logged_password(parsed: Parsed) -> Iterator[Problem]:
    gateway, redis = parsed.group(Gateway), parsed.group(Redis)
    if gateway is None or redis is None or redis.password is None:
        return
    for group in (parsed.group(RateLimit), parsed.group(Quota)):
        if gateway.log_level in ("debug", "info") and group is not None and group.enabled:
            switch = variable(type(group), "enabled")
            yield Problem(
                variable(Gateway, "log_level"),
                f"is {gateway.log_level}, at which APISIX logs the route of each request, and {switch} puts "
                "the password of Redis into it",
                f"Write notice or a higher level, or set {switch}=false",
            )


def _guardrails(parsed: Parsed) -> Iterator[Problem]:
    needs: tuple[tuple[type[Group], tuple[str, ...]], ...] = (
        (Cors, ("allow_origins",)),
        (RateLimit, ("rate",)),
        (Quota, ("count", "time_window")),
        (EntraAuth, ("tenant_id", "audience")),
    )
    for kind, required in needs:
        group = parsed.group(kind)
        if group is None or not getattr(group, "enabled"):  # noqa: B009 - declared by each guardrail
            continue
        for name in required:
            if getattr(group, name) is None:
                yield _needed(kind, name)
    entra = parsed.group(EntraAuth)
    if entra and entra.enabled and entra.allowed_app_ids is None and not _has_application(parsed):
        yield _needed(EntraAuth, "allowed_app_ids")
    yield from _either(parsed, IpRestriction, ("allowlist", "denylist"))
    yield from _either(parsed, PromptGuard, ("deny_patterns", "allow_patterns"))
    restriction = parsed.group(IpRestriction)
    if restriction and restriction.enabled and restriction.allowlist and restriction.denylist:
        yield Problem("IP_DENYLIST", "is set beside IP_ALLOWLIST", "Keep one of the two lists")


def _has_application(parsed: Parsed) -> bool:
    return any(variable(Client, "app_id", index) in parsed.values for index in parsed.members[Client])


def _needed(kind: type[Group], name: str) -> Problem:
    switch = variable(kind, "enabled")
    about = in_sentence(kind.model_fields[name].description or "")
    return Problem(
        variable(kind, name), f"is missing, but {switch} needs it", f"Set it ({about}), or set {switch}=false"
    )


def _either(
    parsed: Parsed, kind: type[IpRestriction] | type[PromptGuard], fields: tuple[str, str]
) -> Iterable[Problem]:
    group = parsed.group(kind)
    if group is not None and group.enabled and all(getattr(group, name) is None for name in fields):
        first, second = (variable(kind, name) for name in fields)
        switch = variable(kind, "enabled")
        yield Problem(switch, f"needs {first} or {second}", f"Set one of them, or set {switch}=false")


def _cors_credentials(parsed: Parsed) -> Iterator[Problem]:
    cors = parsed.group(Cors)
    if cors is None or not cors.enabled or not cors.allow_credentials:
        return
    for name in ("allow_origins", "allow_methods", "allow_headers", "expose_headers"):
        if "*" in (getattr(cors, name) or ()):  # APISIX would skip the whole route
            yield Problem(
                variable(Cors, name),
                "is *, which browsers refuse together with CORS_ALLOW_CREDENTIALS=true",
                "List the values, or set CORS_ALLOW_CREDENTIALS=false",
            )


_RULES: tuple[Callable[[Parsed], Iterator[Problem]], ...] = (
    _some_backend,
    _backend_credentials,
    _plain_http,
    _unique_names,
    _client_credentials,
    _client_keys,
    _client_applications,
    _somebody_may_call,
    _some_weight,
    _home_backend,
    _bounds,
    _trusted_proxies,
    _hash_key,
    _redis,
    _logged_password,
    _guardrails,
    _cors_credentials,
)
