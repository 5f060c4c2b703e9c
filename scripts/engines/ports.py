"""Loopback ports for what is started on this machine."""

import fcntl
import os
import random
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from scripts.engines.errors import EngineError

# Below the range from which the kernel takes the ports of outgoing connections, so that no connection
# can take a port between the moment it is found free and the moment nginx listens on it.
_RANGE = range(10240, 32768)
_TRIES = 50


@dataclass(frozen=True)
class Ports:
    """Where a gateway listens on 127.0.0.1."""

    traffic: int
    metrics: int
    status: int


def _bind(port: int) -> socket.socket | None:
    listener = socket.socket()
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        return None
    return listener


def _take_turns() -> range:
    """`_TRIES` numbers that no other process of this user has been given.

    Two processes that found the same port free would both wait for a gateway on it, and one of them
    would take the other's for its own.
    """
    path = Path(tempfile.gettempdir()) / f"gateway-ports-{os.getuid()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        first = int(text) if text.isdecimal() else random.randrange(len(_RANGE))  # noqa: S311
        file.seek(0)
        file.write(str(first + _TRIES))
    return range(first, first + _TRIES)


def free_ports(count: int) -> list[int]:
    """`count` different ports that nothing listens on and that no other process has just been given."""
    with ExitStack() as held:
        found: list[int] = []
        for turn in _take_turns():
            if len(found) == count:
                break
            listener = _bind(_RANGE[turn % len(_RANGE)])
            if listener is not None:
                held.enter_context(listener)
                found.append(listener.getsockname()[1])
    if len(found) < count:
        raise EngineError("no free loopback ports were found between 10240 and 32767")
    return found


def choose_ports(traffic: int = 0) -> Ports:
    """Ports for a gateway; `traffic` is the port for clients, 0 for any free one."""
    if traffic:
        listener = _bind(traffic)
        if listener is None:
            raise EngineError(f"port {traffic} is in use: choose another with --port, or 0 for any free port")
        listener.close()
        metrics, status = free_ports(2)
        return Ports(traffic, metrics, status)
    return Ports(*free_ports(3))
