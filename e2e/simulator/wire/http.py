"""HTTP/1.1 messages: a request as it came, and the bytes of an answer's head."""

from __future__ import annotations

import http
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from urllib.parse import parse_qs, unquote

Headers = Sequence[tuple[str, str]]


@dataclass
class Request:
    """One request as it came over the wire; ``target`` is the raw path and query."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    peer: str
    received_at: float = field(default_factory=time.time)

    @cached_property
    def path(self) -> str:
        """The decoded path, without the query."""
        return unquote(self.target.partition("?")[0])

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters; the first value wins when a name is repeated."""
        raw = self.target.partition("?")[2]
        return {name: values[0] for name, values in parse_qs(raw, keep_blank_values=True).items()}

    @cached_property
    def _index(self) -> dict[str, str]:
        return {name.lower(): value for name, value in reversed(self.headers)}

    def header(self, name: str) -> str | None:
        """The first value of header ``name`` (given in lower case), or ``None``."""
        return self._index.get(name)


def head_bytes(status: int, headers: Headers, *, keep_alive: bool) -> bytes:
    """The bytes of a status line and headers, from ``HTTP/1.1 200 OK`` to the empty line."""
    lines = [f"HTTP/1.1 {status} {_reason(status)}\r\n", f"date: {_http_date()}\r\n"]
    # A deployment's name comes from the client: it must not end a header.
    lines += [f"{name}: {value.translate(_NO_LINE_BREAKS)}\r\n" for name, value in headers]
    if not keep_alive:
        lines.append("connection: close\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1", "replace")


def refusal_bytes(status: int) -> bytes:
    """A whole answer without a body, to a request that cannot be parsed."""
    return f"HTTP/1.1 {status} {_reason(status)}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()


_REASONS = {int(status): status.phrase for status in http.HTTPStatus}
_NO_LINE_BREAKS = str.maketrans("\r\n", "  ")
_date_cache: tuple[int, str] = (0, "")


def _reason(status: int) -> str:
    return _REASONS.get(status, "Unknown")


def _http_date() -> str:
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, formatdate(now, usegmt=True))
    return _date_cache[1]
