"""How many streams the gateway carries at once, and what each of them costs.

``python -m e2e.many_streams --streams 4000`` opens so many event streams and holds them all open. Then they
end. It ends by itself, prints the workers' memory, and exits with 1 when a stream was refused or cut.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from e2e.local_settings import backend_settings, client_settings
from scripts.engines import Gateway, start_gateway

CLIENT_KEY = "client-key-of-many-streams"
OPENING_AT_ONCE = 64
DEADLINE_SECONDS = 300
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
END = b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
_BODY = json.dumps(
    {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
).encode()
REQUEST = (
    b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n"
    b"content-type: application/json\r\napi-key: %s\r\ncontent-length: %d\r\n\r\n%s"
    % (CLIENT_KEY.encode(), len(_BODY), _BODY)
)


class Backend:
    """Begins each stream at once and ends it when `release` is set."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.most_open = 0
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection."""
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD + EVENT)
            await self.release.wait()
            writer.write(EVENT + END)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open -= 1
            writer.close()


class Streams:
    """Opens streams through the gateway and reads them."""

    def __init__(self, gateway: Gateway, release: asyncio.Event) -> None:
        address = urlsplit(gateway.url)
        self._address = (address.hostname, address.port)
        self._release = release
        self._opening = asyncio.Semaphore(OPENING_AT_ONCE)
        self.begun = 0
        self.outcomes: Counter[str] = Counter()

    async def run(self) -> None:
        """One stream from its request to its end."""
        try:
            self.outcomes[await self._read()] += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            self.outcomes["cut"] += 1

    async def _read(self) -> str:
        async with self._opening:
            try:
                reader, writer = await asyncio.open_connection(*self._address)
                writer.write(REQUEST)
                status = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
                if status != "200":
                    return f"status {status}"
                await reader.readuntil(b'"word"')
            finally:
                self.begun += 1
        await self._release.wait()
        rest = await reader.read()
        writer.close()
        return "whole" if rest.count(b'"word"') == 1 and END in rest else "cut"


def workers_mib(gateway: Gateway) -> float:
    """Resident memory of all workers."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in gateway.children]
    return sum(int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) for status in statuses) / 1024


async def carry(engine: str, count: int, workers: int | None) -> bool:
    """Opens the streams, reports, lets them end. Returns whether all of them were whole."""
    backend = Backend()
    server = await asyncio.start_server(backend.serve, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    env = client_settings(0, "many-streams", CLIENT_KEY)
    env |= backend_settings(0, "backend", f"http://127.0.0.1:{port}")
    if workers is not None:
        env["GATEWAY_WORKER_PROCESSES"] = str(workers)
    with await asyncio.to_thread(start_gateway, env, engine=engine) as gateway:
        before = workers_mib(gateway)
        streams = Streams(gateway, backend.release)
        started = time.monotonic()
        async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(streams.run())
            while streams.begun < count:
                await asyncio.sleep(0.1)
            growth = workers_mib(gateway) - before
            print(
                f"{backend.most_open} streams open at once after {time.monotonic() - started:.1f} s;"
                f" workers {before:.0f} MiB before, {growth:.0f} MiB more now:"
                f" {growth * 1024 / count:.1f} KiB for each stream",
                flush=True,
            )
            backend.release.set()
        print(", ".join(f"{outcome}: {number}" for outcome, number in streams.outcomes.items()))
    server.close()
    return streams.outcomes["whole"] == count


def main() -> None:
    """Carries the streams and judges."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", default="embedded", choices=["embedded", "apisix", "docker"])
    parser.add_argument("--streams", type=int, default=4000)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    sys.exit(0 if asyncio.run(carry(options.engine, options.streams, options.workers)) else 1)


if __name__ == "__main__":
    main()
