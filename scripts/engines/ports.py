"""Loopback ports for a gateway's three listeners."""

import random
import socket
from collections import deque
from contextlib import ExitStack

from scripts.engines.base import EngineError, Ports

# Below the range that the kernel uses for outgoing connections. So no connection can take a port between
# the moment it is found free and the moment nginx listens on it.
_RANGE = range(10240, 32768)
_TRIES = 200

# A server takes its port some time after the port was chosen. Without claims, processes that start servers
# side by side would choose the same one now and then. A claim is a UDP socket on the port, which no server
# wants. It ends with the process, or when the process has chosen so many more ports.
_MOST_CLAIMS = 64
_claims: deque[socket.socket] = deque()


def _bind(port: int, *, after_others: bool = False) -> socket.socket | None:
    """A socket on the port, or None; `after_others` allows a port on which old connections still linger."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, after_others)
    return _bound(listener, port)


def _bound(made: socket.socket, port: int) -> socket.socket | None:
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        return None
    return made


def _claim(port: int) -> bool:
    """Whether neither this process nor another has chosen the port lately; now this one has."""
    claim = _bound(socket.socket(type=socket.SOCK_DGRAM), port)
    if claim is None:
        return False
    _claims.append(claim)
    if len(_claims) > _MOST_CLAIMS:
        _claims.popleft().close()
    return True


def free_ports(count: int) -> list[int]:
    """`count` different ports on which nothing listens, and which no process has chosen lately."""
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_RANGE, _TRIES):
            if len(found) == count:
                break
            listener = _bind(port)
            if listener is None:
                continue
            held.enter_context(listener)
            if _claim(port):
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
