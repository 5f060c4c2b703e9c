"""Loopback ports for a gateway's three listeners."""

import random
import socket
from contextlib import ExitStack

from scripts.engines.base import EngineError, Ports

# Below the range that the kernel uses for outgoing connections. So no connection can take a port between
# the moment it is found free and the moment nginx listens on it.
_RANGE = range(10240, 32768)
_TRIES = 200


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
    """`count` different ports on which nothing listens."""
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_RANGE, _TRIES):
            if len(found) == count:
                break
            listener = _bind(port)
            if listener is not None:
                held.enter_context(listener)
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
