"""How a body stands on the wire: with a length, in chunks or to the connection's end; plain or as gzip."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from e2e.simulator.faults import Fault

_GZIP = 31  # zlib's window bits


class Body:
    """Frames the parts of one body as a fault says; without one, in chunks.

    ``take`` gives the bytes for the next part, and ``end`` those that end the body, each to be written on its
    own.
    """

    def __init__(self, fault: Fault, parts: Iterable[bytes]) -> None:
        self._framing = fault.framing or "chunks"
        self._packer = zlib.compressobj(wbits=_GZIP) if fault.packed else None
        self._length = 0
        if self._framing in ("length", "one_chunk"):
            self._length = _length(parts, fault)
        self._has_begun = False

    def headers(self, content_type: str) -> list[tuple[str, str]]:
        """The headers that describe the body; without ``content-type`` when that is empty."""
        headers = [("content-type", content_type)] if content_type else []
        if self._packer:
            headers.append(("content-encoding", "gzip"))
        if self._framing == "length":
            headers.append(("content-length", str(self._length)))
        elif self._framing == "close":
            headers.append(("connection", "close"))
        else:
            headers.append(("transfer-encoding", "chunked"))
        return headers

    def take(self, part: bytes) -> bytes:
        """The bytes for the next part."""
        return self._framed(_packed(self._packer, part))

    def _framed(self, data: bytes) -> bytes:
        if self._framing in ("length", "close") or not data:
            return data
        if self._framing == "one_chunk":
            begin = b"" if self._has_begun else b"%x\r\n" % self._length
            self._has_begun = True
            return begin + data
        extension = b";name=value" if self._framing == "extensions" else b""
        return b"%x%b\r\n%b\r\n" % (len(data), extension, data)

    def end(self) -> Iterator[bytes]:
        """The bytes that end the body, in pieces between which time passes."""
        rest = self._framed(self._packer.flush()) if self._packer else b""
        if self._framing in ("length", "close"):
            yield rest
        elif self._framing == "one_chunk":
            yield rest + b"\r\n0\r\n\r\n"
        elif self._framing == "late_trailer":
            yield rest + b"0\r\nX-"
            yield b"Trailer: 1\r\n\r\n"
        else:
            yield rest + b"0\r\n\r\n"

    @property
    def closes(self) -> bool:
        """Whether the end of the connection ends the body."""
        return self._framing == "close"


def _packed(packer: zlib._Compress | None, part: bytes) -> bytes:
    return packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else part


def _length(parts: Iterable[bytes], fault: Fault) -> int:
    packer = zlib.compressobj(wbits=_GZIP) if fault.packed else None
    length = sum(len(_packed(packer, part)) for part in parts)
    return length + (len(packer.flush()) if packer else 0)
