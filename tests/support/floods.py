"""Answers that are far too large, made while they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
_SENT_AT_ONCE = 64 * 1024


@dataclass(frozen=True)
class Flood:
    """The bytes of one answer: a beginning, the same piece again and again, an end."""

    begin: bytes
    piece: bytes
    size: int = 128 * MIB
    """Bytes of all the repeated pieces, about."""
    end: bytes = b""

    def __iter__(self) -> Iterator[bytes]:
        block = self.piece * max(_SENT_AT_ONCE // len(self.piece), 1)
        yield self.begin
        for _ in range(max(self.size // len(block), 1)):
            yield block
        yield self.end

    @property
    def total(self) -> int:
        """Bytes that are sent."""
        return sum(len(part) for part in self)


def chunk(data: bytes) -> bytes:
    """One chunk of a body in chunks: ``chunk(b"ab") == b"2\\r\\nab\\r\\n"``."""
    return b"%x\r\n%s\r\n" % (len(data), data)
