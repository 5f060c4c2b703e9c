"""The time to the first token, by a client that does nothing else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from statistics import median
from urllib.parse import urlsplit

from e2e.bench.workload import Request
from e2e.bench.wrk import LoadError

_SECONDS = 10
_PIECE = 65536
_FIRST = b"data: "
_LAST = b"data: [DONE]"
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"


def first_token_ms(request: Request, times: int) -> float:
    """The median time from a request to its first event, over one connection, one after the other.

    Raises `LoadError` when an answer is no event stream.
    """
    return median(_times(request, times))


def _times(request: Request, times: int) -> Iterator[float]:
    address = urlsplit(request.url)
    raw = _raw(request)
    with socket.create_connection((address.hostname, address.port), timeout=_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            asked = time.perf_counter()
            connection.sendall(raw)
            received = _read(connection, b"", _FIRST)
            yield (time.perf_counter() - asked) * 1000
            _read(connection, _read(connection, received, _LAST), _END_OF_CHUNKS)


def _read(connection: socket.socket, received: bytes, wanted: bytes) -> bytes:
    while wanted not in received:
        try:
            piece = connection.recv(_PIECE)
        except TimeoutError:
            raise LoadError(f"no {wanted!r} within {_SECONDS} s") from None
        received += piece
        if not piece or b" 200 " not in received.split(b"\r\n", 1)[0]:
            raise LoadError(f"no event stream: {received[:200]!r}")
    return received


def _raw(request: Request) -> bytes:
    address = urlsplit(request.url)
    body = request.body.encode()
    target = address.path + (f"?{address.query}" if address.query else "")
    headers = {**request.headers, "host": address.netloc, "content-length": str(len(body))}
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
