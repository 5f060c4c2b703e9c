"""A call with curl that works here, and in which no key can be read."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from renderer import Settings
from renderer.model.clients import Client
from renderer.names import secret_of, variable
from renderer.settings_file import YAML_EXTENSIONS
from scripts.local_gateway.sources import Loaded, Sources

_FALLBACK_DEPLOYMENT = "gpt-4o"
# The first of these that a backend offers: path, header with the key, further headers, further members.
_CALLS: tuple[tuple[str, str, str, tuple[str, ...], Mapping[str, object]], ...] = (
    ("openai", "/openai/v1/chat/completions", "api-key", (), {}),
    (
        "anthropic",
        "/anthropic/v1/messages",
        "x-api-key",
        ("anthropic-version: 2023-06-01",),
        {"max_tokens": 50},
    ),
    ("inference", "/models/chat/completions?api-version=2024-05-01-preview", "api-key", (), {}),
)


def first_call(url: str, loaded: Loaded, sources: Sources, authority: Path | None = None) -> list[str]:
    """The lines of a command for a shell; `authority` is the certificate to trust."""
    settings = loaded.settings
    offered = {name for backend in settings.backends for name in backend.surfaces}
    surface, path, key_header, headers, members = next(call for call in _CALLS if call[0] in offered)
    index = next((index for index, client in enumerate(settings.clients) if client.key is not None), None)
    body = {
        "model": _deployment(settings, surface, index),
        **members,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    options = [f"-H {shlex.quote(header)}" for header in ("content-type: application/json", *headers)]
    if index is not None:
        options.insert(0, f'-H "{key_header}: {_key(index, loaded, sources)}"')
    elif settings.gateway.require_auth:
        options.insert(0, '-H "authorization: Bearer $TOKEN"')
    if authority is not None:
        options.insert(0, f"--cacert {shlex.quote(str(authority))}")
    options.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return [
        f"curl -i {shlex.quote(url + path)} \\",
        *(f"  {option} \\" for option in options[:-1]),
        f"  {options[-1]}",
    ]


def _deployment(settings: Settings, surface: str, client: int | None) -> str:
    """A deployment that the client may call: one whose name sounds like chat, if any does."""
    backends = [backend for backend in settings.backends if surface in backend.surfaces]
    named = [name for backend in backends for name in backend.deployments or {}]
    allowed = settings.clients[client].deployments if client is not None else None
    names = [name for name in named if allowed is None or name in allowed] or [*(allowed or ())] or named
    chat = (name for name in names if re.search("gpt|claude|chat", name, re.IGNORECASE))
    return next(chat, names[0] if names else _FALLBACK_DEPLOYMENT)


def _key(index: int, loaded: Loaded, sources: Sources) -> str:
    """What a shell replaces by the client's key, in double quotes."""
    name = variable(Client, "key", index)
    secret = loaded.settings.clients[index].key
    assert secret is not None
    key = secret.get_secret_value()
    if sources.environment.get(name, "").strip() == key:
        return f"${name}"
    if sources.env_file is not None and loaded.from_file.get(name) == key:
        return _from_file(sources.env_file, name, key) or f"${name}"
    vault = loaded.settings.key_vault.url
    if vault is not None:
        secret_id = f"{str(vault).rstrip('/')}/secrets/{secret_of(name)}"
        return f"$(az keyvault secret show --id {secret_id} --query value --output tsv)"
    return f"${name}"


def _from_file(file: Path, name: str, key: str) -> str | None:
    """A command that reads the key from its line; None where the line is written in an unusual way."""
    path = shlex.quote(str(file))
    if file.suffix.lower() in YAML_EXTENSIONS:
        return _from_yaml(file, path, key)
    for line in file.read_text(encoding="utf-8-sig").split("\n"):
        if line == f"{name}={key}":
            return f"$(sed -n 's/^{name}=//p' {path})"
        found = re.match(rf""" *(export +)?{name} *= *["']?([^"'\s]*)""", line)
        if found and found[2] == key:
            pattern = rf"^ *(export +)?{name} *= *[\"']?([^\"'[:space:]]*).*"
            return f'$(sed -nE "s/{pattern}/\\2/p" {path})'
    return None


def _from_yaml(file: Path, path: str, key: str) -> str | None:
    """The same for a file of YAML, in which many lines may begin alike: a command that names the line."""
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), start=1):
        found = re.match(r"""[ -]*key: *["']?([^"'\s]*)["']?\s*(#.*)?$""", line)
        if found and found[1] == key:
            pattern = r"^[ -]*key: *[\"']?([^\"'[:space:]]*).*"
            return f'$(sed -nE "{number}s/{pattern}/\\1/p" {path})'
    return None
