"""The simulator inside a Python program: on a thread of its own, steered from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from e2e.simulator.answers import Json
from e2e.simulator.faults import Fault
from e2e.simulator.fleet import Fleet
from e2e.simulator.recorder import RecordedRequest
from e2e.simulator.regions import FAMILIES, Latency, PromptCaching, Quota, Region
from e2e.simulator.server import RegionServer

T = TypeVar("T")


class Simulator:
    """Several simulated regions, each on its own port of ``host``.

    >>> with Simulator([Region("eastus", key="k1"), Region("westus", key="k2")]) as sim:
    ...     sim.fail("eastus", status=429, retry_after=5)
    ...     httpx.get(sim.endpoint("westus") + "/openai/v1/models", headers={"api-key": "k2"})

    Changes take effect before the method returns. An unknown region raises ``KeyError``.
    """

    def __init__(
        self, regions: Sequence[Region], host: str = "127.0.0.1", admin_key: str | None = None
    ) -> None:
        names = [region.name for region in regions]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"regions need distinct names, got: {', '.join(names) or 'none'}")
        self._host = host
        self._fleet = Fleet(regions, host, admin_key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="azure-openai-simulator", daemon=True
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on every port. Raises ``OSError`` when one cannot be used."""
        self._thread.start()
        try:
            self._run(self._fleet.open())
        except OSError:
            self._end_thread()
            raise

    def stop(self) -> None:
        """Close every port and connection and end the thread. Stopping twice is fine."""
        if not self._thread.is_alive():
            return
        self._call(self._fleet.shut)
        self._run(_finish_tasks())
        self._end_thread()

    @property
    def regions(self) -> list[str]:
        """The names of the regions."""
        return list(self._fleet.servers)

    def endpoint(self, region: str) -> str:
        """The base URL of a region, as an Azure endpoint is written: ``http://127.0.0.1:PORT``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server(region).listener.port}"

    # --- scripting -----------------------------------------------------------------------------------

    def fault(self, region: str, *faults: Fault) -> None:
        """Append faults to a region's script."""
        server = self._server(region)
        self._run(server.add_faults(faults))

    def fail(self, region: str, **fault: Any) -> None:
        """Append a fault given by its fields, see :class:`Fault`. Raises ``ValueError`` for a wrong one."""
        self.fault(region, Fault(**fault))

    def clear_faults(self, region: str) -> None:
        """Forget a region's faults and let it accept connections again."""
        self._run(self._server(region).clear_faults())

    def quota(self, region: str, deployment: str, quota: Quota) -> None:
        """Give a deployment another quota; its use starts at zero."""
        server = self._server(region)
        self._call(lambda: server.state.set_quota(deployment, quota))

    def latency(self, region: str, latency: Latency) -> None:
        """Use other delays from the next answer on."""
        server = self._server(region)
        self._call(lambda: server.state.set_latency(latency))

    def answer_tokens(self, region: str, tokens: int) -> None:
        """Generate longer or shorter answers."""
        server = self._server(region)
        self._call(lambda: setattr(server.state, "answer_tokens", tokens))

    def surfaces(self, region: str, **offered: bool) -> None:
        """Offer surfaces or no longer, for example ``inference=False``. Raises ``ValueError`` for others."""
        unknown = set(offered) - set(FAMILIES)
        if unknown:
            raise ValueError(f"no surface {min(unknown)!r}; there are: {', '.join(FAMILIES)}")
        server = self._server(region)
        changes = {family: offered[family] for family in FAMILIES if family in offered}
        self._call(lambda: server.state.offer(changes))

    def prompt_cache(self, region: str, caching: PromptCaching | None) -> None:
        """Begin with an empty prompt cache; ``None``: cache no prompts."""
        server = self._server(region)
        self._call(lambda: server.state.cache_prompts(caching))

    def tool_calls(self, region: str, **arguments: Json) -> None:
        """Call these tools of the model's own accord, for example ``get_weather={"city": "Oslo"}``."""
        server = self._server(region)
        self._call(lambda: setattr(server.state, "tool_calls", arguments))

    def reset(self) -> None:
        """Return every region to its first state: no faults, recordings, stored objects or used quota."""
        for server in self._fleet.servers.values():
            self._run(server.reset())

    # --- inspecting ----------------------------------------------------------------------------------

    def requests(self, region: str) -> list[RecordedRequest]:
        """The requests that reached a region, oldest first.

        They include requests with wrong credentials, and no admin requests.
        """
        server = self._server(region)
        return self._call(server.recorder.all)

    def wait_for_requests(self, region: str, count: int = 1, timeout: float = 5.0) -> list[RecordedRequest]:
        """Wait until ``count`` requests have arrived. Raises ``TimeoutError`` after ``timeout`` seconds."""
        return self.wait_for(region, lambda records: len(records) >= count, timeout)

    def wait_for_answers(self, region: str, count: int = 1, timeout: float = 5.0) -> list[RecordedRequest]:
        """Wait until ``count`` requests have ended in any way. Raises ``TimeoutError``."""
        return self.wait_for(
            region, lambda records: sum(r.finished_at is not None for r in records) >= count, timeout
        )

    def wait_for_disconnect(self, region: str, timeout: float = 5.0) -> RecordedRequest:
        """The first request whose client left before the end of its answer. Raises ``TimeoutError``."""
        records = self.wait_for(region, lambda records: any(r.client_disconnected for r in records), timeout)
        return next(record for record in records if record.client_disconnected)

    def wait_for(
        self, region: str, condition: Callable[[list[RecordedRequest]], bool], timeout: float = 5.0
    ) -> list[RecordedRequest]:
        """Wait until ``condition`` holds for a region's requests. Raises ``TimeoutError``."""
        recorder = self._server(region).recorder
        if not recorder.wait_for(condition, timeout):
            raise TimeoutError(f"{region}: not seen within {timeout:g} s, {recorder.total} requests so far")
        return recorder.all()

    # --- the loop's thread -----------------------------------------------------------------------------

    def _server(self, region: str) -> RegionServer:
        if region not in self._fleet.servers:
            raise KeyError(f"no region {region!r}; there are: {', '.join(self._fleet.servers)}")
        return self._fleet.servers[region]

    def _call(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return self._run(call())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _finish_tasks() -> None:
    """Cancel the tasks that still run and let them end."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
