"""How long one large body of any shape keeps the other requests of a worker waiting."""

from __future__ import annotations

import http.client
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from e2e.bench.backend import Backends
from e2e.bench.pools import ONE
from e2e.bench.targets import Site
from e2e.bench.targets.gateway import client_key, environment
from e2e.large_bodies import CLASSES, MIB, LargeBody, large_body
from scripts.engines import Gateway, start_gateway

LARGE_BODY_MIB = 60


def stalls(engine: str, backends: Backends, directory: Path) -> Iterator[str]:
    """A line for each class of large bodies. Raises `EngineError` when the gateway cannot be started."""
    yield f"{'':20} {'MiB':>6} {'stall ms':>9}"
    env = environment(ONE, Site(directory, backends))
    for shape in CLASSES:
        body = large_body(shape, LARGE_BODY_MIB * MIB)
        with start_gateway(env, engine=engine) as gateway:
            stall = longest_stall_ms(gateway, body)
        yield f"{shape:20} {len(body.content) / MIB:>6.1f} {stall:>9.1f}"


def longest_stall_ms(gateway: Gateway, body: LargeBody) -> float:
    """How long a small request waited at most, while the worker read a large one."""
    pinging = http.client.HTTPConnection(urlsplit(gateway.url).netloc)
    longest = 0.0
    sending = multiprocessing.Process(target=_send, args=(gateway.url, body))
    sending.start()
    while sending.is_alive():
        asked = time.monotonic()
        pinging.request("GET", "/nothing")
        pinging.getresponse().read()
        longest = max(longest, time.monotonic() - asked)
        time.sleep(0.001)
    sending.join()
    return longest * 1000


def _send(url: str, body: LargeBody) -> None:
    """Sends a body, in a process of its own. The answer does not matter."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    headers = {"api-key": client_key(0), "content-type": body.content_type}
    connection.request("POST", body.target, body.content, headers)
    connection.getresponse().read()
