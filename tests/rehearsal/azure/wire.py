"""Requests to the cloud and its answers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """A request that arrived. `target` is path and query as sent; names of headers are in lower case."""

    method: str
    host: str
    target: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        found = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}

    @property
    def url(self) -> str:
        return f"https://{self.host}{urlsplit(self.target).path}"

    @property
    def token(self) -> dict[str, Any] | None:
        """The claims of the bearer token; None without one."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or token.count(".") != 2:
            return None
        payload = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    @property
    def body(self) -> Any:
        """The JSON of the content; `{}` without content."""
        return json.loads(self.content or b"{}")

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return {name: values[0] for name, values in parse_qs(self.content.decode()).items()}


@dataclass(frozen=True)
class Reply:
    """An answer. A body of bytes is sent as it is, any other as JSON, and None as nothing."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """An error as most of Azure's services write it."""
    return Reply(status, {"error": {"code": code, "message": message}}, headers or {})


def encode_token(claims: Mapping[str, Any]) -> str:
    """A token with these claims. Nobody in the rehearsal looks at its signature."""
    parts = ({"alg": "none", "typ": "JWT"}, claims, {})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )


def matched(pattern: str, text: str) -> re.Match[str] | None:
    """Whether the whole text matches; Azure ignores the case of ids."""
    return re.fullmatch(pattern, text, re.IGNORECASE)
