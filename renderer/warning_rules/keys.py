"""Keys that are known to all, that are not used, or that do not fit where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import SecretStr

from renderer.draft import Draft
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.model.gateway import Gateway
from renderer.names import variable
from renderer.parsers.urls import is_loopback
from renderer.problems import Problem

PUBLISHED_KEYS = frozenset(
    {
        "demo-backend-key-eastus",
        "demo-backend-key-westus",
        "demo-backend-key-swedencentral",
        "demo-client-key-of-the-app",
        "demo-client-key-of-the-batch",
    }
)
"""The keys of examples/demo.env, which everybody can read."""

# nginx and Apache take header lines of 8 KiB by default, and the gateway's 36 KiB are for all lines together.
LONGEST_KEY = 8 * 1024 - len("authorization: Bearer ")

_KEY_OF_OPENAI = re.compile(r"sk-[A-Za-z0-9_-]{20,}")
_RANDOM_KEY = "Write a random key of its own (openssl rand -hex 24)"


def _keys(draft: Draft) -> Iterator[tuple[str, str]]:
    """Each key with its variable: those of backends first."""
    for kind, fields in ((Backend, ("key",)), (Client, ("key", "key_secondary"))):
        for index, member in draft.valid(kind).items():
            for field in fields:
                secret: SecretStr | None = getattr(member, field)
                if secret is not None:
                    yield variable(kind, field, index), secret.get_secret_value()


def _of_a_backend(draft: Draft) -> Iterator[Problem]:
    backends: dict[str, str] = {}
    for setting, key in _keys(draft):
        if setting.startswith(Backend.prefix):
            backends.setdefault(key, setting)
        elif key in backends:
            yield Problem(
                setting,
                f"is the same key as {backends[key]}, so the client could call the backend past the gateway",
                _RANDOM_KEY,
            )


def _published(draft: Draft) -> Iterator[Problem]:
    gateway, backends = draft.group(Gateway), draft.valid(Backend)
    is_test = gateway is None or gateway.e2e_test_mode
    if is_test or all(is_loopback(backend.endpoint) for backend in backends.values()):
        return
    for setting, key in _keys(draft):
        if key not in PUBLISHED_KEYS:
            continue
        if setting.startswith(Client.prefix):
            yield Problem(
                setting,
                "is a key of examples/demo.env, which everybody can read, and the backends are real",
                _RANDOM_KEY,
            )
        elif not is_loopback(backends[int(setting.rpartition("_")[2])].endpoint):
            yield Problem(
                setting,
                "is a key of examples/demo.env, which no real resource has",
                "Write the resource's key",
            )


def _beside_managed_identity(draft: Draft) -> Iterator[Problem]:
    for index, backend in draft.valid(Backend).items():
        if backend.auth == "managed-identity" and backend.key is not None:
            auth = variable(Backend, "auth", index)
            yield Problem(
                variable(Backend, "key", index),
                f"is not used: {auth} is managed-identity",
                f"Remove it, or set {auth}=key",
            )


def _too_long(draft: Draft) -> Iterator[Problem]:
    for setting, key in _keys(draft):
        if len(key) > LONGEST_KEY:
            yield Problem(
                setting,
                f"has {len(key)} characters, and servers refuse header lines of more than 8 KiB",
                "Write the key alone: those of Azure have 32 or 84 characters",
            )


def _of_openai(draft: Draft) -> Iterator[Problem]:
    for index, backend in draft.valid(Backend).items():
        if backend.key is not None and _KEY_OF_OPENAI.fullmatch(backend.key.get_secret_value()):
            yield Problem(
                variable(Backend, "key", index),
                "has the form of a key of OpenAI's own API, which Azure does not accept",
                "Write the key of the Azure resource: az cognitiveservices account keys list",
            )


RULES = (_of_a_backend, _published, _beside_managed_identity, _too_long, _of_openai)
