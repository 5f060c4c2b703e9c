"""Rules about backends, load balancing, failover and shared state."""

from __future__ import annotations

from collections.abc import Iterator

from renderer.draft import Draft
from renderer.model.backends import Backend, Balancing, Failover
from renderer.model.gateway import Gateway, Redis
from renderer.names import variable
from renderer.parsers.urls import is_loopback
from renderer.problems import Problem


def _some_backend(draft: Draft) -> Iterator[Problem]:
    if draft.members[Backend]:
        return
    unnumbered = " (the SDK's AZURE_OPENAI_ENDPOINT without a number is not read)"
    seen = unnumbered if "AZURE_OPENAI_ENDPOINT" in draft.texts else ""
    yield Problem(
        variable(Backend, "endpoint", 0),
        f"is missing: there is no backend{seen}",
        f"Set it to the endpoint of a resource, and {variable(Backend, 'key', 0)} to its key",
    )


def _backend_credentials(draft: Draft) -> Iterator[Problem]:
    for index, backend in draft.valid(Backend).items():
        if backend.auth != "key":
            continue
        other = f"set {variable(Backend, 'auth', index)}=managed-identity"
        if backend.key is None:
            yield Problem(
                variable(Backend, "key", index),
                f"is missing: backend {backend.name} has no credential",
                f"Set it to the key, or {other}",
            )
        for name in ("client_id", "token_scope"):
            if draft.is_set(Backend, name, index):
                yield Problem(
                    variable(Backend, name, index),
                    "is for managed identity, but the backend signs in with a key",
                    f"Remove it, or {other}",
                )


def _unserved_limits(draft: Draft) -> Iterator[Problem]:
    for index, backend in draft.valid(Backend).items():
        if backend.deployments is None:
            continue
        listed = variable(Backend, "deployments", index)
        for name in backend.tokens_per_minute or ():
            if name not in backend.deployments:
                yield Problem(
                    variable(Backend, "tokens_per_minute", index),
                    f"limits the deployment '{name}', which {listed} does not list",
                    f"Write one of {', '.join(backend.deployments)}, or add it there",
                )


def _plain_http(draft: Draft) -> Iterator[Problem]:
    gateway = draft.group(Gateway)
    if gateway is None or gateway.e2e_test_mode:
        return
    for index, endpoint in draft.sound(Backend, "endpoint").items():
        if endpoint.lower().startswith("http://") and not is_loopback(endpoint):
            yield Problem(
                variable(Backend, "endpoint", index),
                "is plain http, which would send the key without encryption",
                "Write https:// (http is for loopback addresses and GATEWAY_E2E_TEST_MODE=true only)",
            )


def _some_weight(draft: Draft) -> Iterator[Problem]:
    backends, valid = draft.members[Backend], draft.valid(Backend)
    if backends and len(valid) == len(backends) and all(b.weight == 0 for b in valid.values()):
        yield Problem(
            variable(Backend, "weight").replace("<N>", "*"),
            "are all 0, which drains every backend",
            "Give at least one backend a weight of 1 or more",
        )


def _home_backend(draft: Draft) -> Iterator[Problem]:
    gateway, backends = draft.group(Gateway), draft.valid(Backend)
    if gateway is None or gateway.home_backend is None or len(backends) < len(draft.members[Backend]):
        return
    known = [backend.name for backend in backends.values()]
    if gateway.home_backend not in known:
        yield Problem(
            variable(Gateway, "home_backend"),
            f"names the backend '{gateway.home_backend}', which does not exist",
            f"Write one of {', '.join(known[:10])}{', …' if len(known) > 10 else ''}",
        )


def _unserved_fallbacks(draft: Draft) -> Iterator[Problem]:
    gateway, backends = draft.group(Gateway), draft.valid(Backend)
    lists = [backend.deployments for backend in backends.values() if backend.deployments is not None]
    if gateway is None or gateway.deployment_fallbacks is None or len(lists) < len(draft.members[Backend]):
        return
    served = sorted({name for deployments in lists for name in deployments})
    for name in dict.fromkeys(name for names in gateway.deployment_fallbacks.values() for name in names):
        if name not in served:
            yield Problem(
                variable(Gateway, "deployment_fallbacks"),
                f"falls back to the deployment '{name}', which no backend lists",
                f"Write one of {', '.join(served)}, or add it to {variable(Backend, 'deployments')}",
            )


def _hash_key(draft: Draft) -> Iterator[Problem]:
    balancing = draft.group(Balancing)
    if balancing is None or balancing.algorithm != "chash" or balancing.hash_on == "consumer":
        return
    if balancing.hash_key is None:
        yield Problem(
            variable(Balancing, "hash_key"),
            "is missing: LB_ALG=chash needs to know what to hash",
            f"Set it to the name of a {balancing.hash_on.removesuffix('s')}, such as x-session-id",
        )


def _bounds(draft: Draft) -> Iterator[Problem]:
    failover = draft.group(Failover)
    pairs = (
        ("cooldown_default_seconds", "cooldown_max_seconds"),
        ("breaker_open_seconds", "breaker_max_open_seconds"),
    )
    for least, most in pairs if failover is not None else ():
        if getattr(failover, least) > getattr(failover, most):
            yield Problem(
                variable(Failover, least),
                f"({getattr(failover, least)} s) is more than {variable(Failover, most)} "
                f"({getattr(failover, most)} s)",
                f"Lower it, or raise {variable(Failover, most)}",
            )


def _redis(draft: Draft) -> Iterator[Problem]:
    redis = draft.group(Redis)
    for name in ("password", "tls") if redis is not None and redis.host is None else ():
        if draft.is_set(Redis, name):
            yield Problem(
                variable(Redis, name), "has no effect without REDIS_HOST", "Set REDIS_HOST, or remove it"
            )


RULES = (
    _some_backend,
    _backend_credentials,
    _unserved_limits,
    _plain_http,
    _some_weight,
    _home_backend,
    _unserved_fallbacks,
    _hash_key,
    _bounds,
    _redis,
)
