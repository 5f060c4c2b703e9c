"""Loopback ports for a gateway's three listeners."""

import fcntl
import os
import random
import socket
import tempfile
from collections import deque
from contextlib import ExitStack
from pathlib import Path

from scripts.engines.base import EngineError, Ports

# Below the range that the kernel uses for outgoing connections. So no connection can take a port between
# the moment it is found free and the moment nginx listens on it.
_RANGE = range(10240, 32768)
_TRIES = 200


class _Claims:
    """The ports that this process has chosen lately, which other processes of the user keep away from.

    A server takes its port some time after the port was chosen: without claims, processes that start servers
    side by side choose the same one now and then. A claim is the lock of one byte of a shared, empty file.
    It ends with the process, or when the process has chosen `_MOST` more ports.
    """

    _MOST = 256
    _FILE = Path(tempfile.gettempdir()) / f"gateway-ports-{os.getuid()}"

    def __init__(self) -> None:
        self._ports: deque[int] = deque()
        self._file: int | None = None

    def claim(self, port: int) -> bool:
        """Whether the port was unclaimed; now it is this process's. Raises `EngineError` without the file."""
        if self._file is None:
            try:
                self._file = os.open(self._FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                raise EngineError(f"{self._FILE} cannot be written: {error.strerror}") from None
        # A process's own locks are no obstacle to it.
        if port in self._ports:
            return False
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except BlockingIOError:
            return False
        self._ports.append(port)
        if len(self._ports) > self._MOST:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._ports.popleft())
        return True


_claims = _Claims()


def _bind(port: int, *, after_others: bool = False) -> socket.socket | None:
    """A socket on the port, or None; `after_others` allows a port on which old connections still linger."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, after_others)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        return None
    return listener


def free_ports(count: int) -> list[int]:
    """`count` different ports on which nothing listens, and which no other process has chosen lately."""
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_RANGE, _TRIES):
            if len(found) == count:
                break
            listener = _bind(port)
            if listener is None:
                continue
            held.enter_context(listener)
            if _claims.claim(port):
                found.append(port)
    if len(found) < count:
        raise EngineError("no free loopback ports were found between 10240 and 32767")
    return found


def choose_ports(traffic: int = 0) -> Ports:
    """Ports for a gateway; `traffic` is the port for clients, 0 for any free one."""
    if traffic:
        # nginx does the same. Otherwise a gateway could not start again on its port for a minute.
        listener = _bind(traffic, after_others=True)
        if listener is None:
            raise EngineError(f"port {traffic} is in use: choose another with --port, or 0 for any free port")
        listener.close()
        metrics, status = free_ports(2)
        return Ports(traffic, metrics, status)
    return Ports(*free_ports(3))
