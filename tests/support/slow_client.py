"""A client that takes an answer only when the sender cannot get rid of more of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from e2e.waiting import eventually

# As small as Linux makes it: nearly the whole answer has to wait at the sender.
_RECEIVE_BUFFER_BYTES = 4096
# The timer of a sender that waits for its peer to take more, in /proc/net/tcp.
_PROBES_CLOSED_WINDOW = "04:"
_PATIENCE_SECONDS = 20


class SlowClient:
    """One connection to a server on this machine; each request has the headers."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._headers = {**headers, "content-type": "application/json"}
        address = httpx.URL(url)
        assert address.port
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self._socket.settimeout(_PATIENCE_SECONDS)
        self._socket.connect((address.host, address.port))
        self._connection = HTTPConnection(address.host, address.port)
        self._connection.sock = self._socket

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def fetch(self, method: str, target: str, body: object = None) -> bytes:
        """The body of the answer to a request, whose own is JSON. Raises `IncompleteRead` when it is cut."""
        content = None if body is None else json.dumps(body)
        self._connection.request(method, target, content, self._headers)
        eventually(self._keeps_the_sender_waiting, seconds=_PATIENCE_SECONDS)
        return self._connection.getresponse().read()

    def _keeps_the_sender_waiting(self) -> bool:
        port = self._socket.getsockname()[1]
        connections = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        # Fields: number, own address, the peer's, state, queues, timer.
        return any(
            peer.endswith(f":{port:04X}") and timer.startswith(_PROBES_CLOSED_WINDOW)
            for _, _, peer, _, _, timer, *_ in connections
        )
