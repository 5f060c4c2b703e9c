"""All services of the cloud together: which one answers is a matter of the host's name."""

from __future__ import annotations

import threading
import time
import traceback
from pathlib import Path

from tests.rehearsal.azure import apps, arm, blobs, entra, registry, vault
from tests.rehearsal.azure.faults import Faults
from tests.rehearsal.azure.state import Ledger, State
from tests.rehearsal.azure.wire import Reply, Request, refusal


class Cloud:
    """Azure on loopback. `state` may be replaced by a copy at any time, to go back to a point of a story."""

    def __init__(self, log: Path | None = None) -> None:
        self.state = State()
        self.faults = Faults()
        self.ledger = Ledger()
        self._log = log
        self._lock = threading.RLock()
        self._manager = arm.ResourceManager(lambda: self.state, self.faults, self.ledger)
        self._vaults = vault.Vaults(lambda: self.state, self.faults)
        self._blobs = blobs.Blobs(lambda: self.state, self.faults)
        self._registry = registry.Registry(lambda: self.state)
        self._apps = apps.Apps(lambda: self.state)

    def answer(self, request: Request) -> Reply:
        """Answer one request to any host of the cloud."""
        with self._lock:
            self.ledger.requests += 1
            try:
                reply = self.faults.answer(request) or self._service(request)
            except Exception:
                self.ledger.unknown[f"{request.method} {request.host}{request.path}: error"] += 1
                self._write(traceback.format_exc())
                reply = refusal(500, "RehearsalError", "The stand-in failed.")
            self._write(f"{request.method} https://{request.host}{request.target} {reply.status}")
            if reply.status >= 400:
                self._write(f"  {request.content[:3000]!r}\n  {reply.content[:600]!r}")
            return reply

    def _service(self, request: Request) -> Reply:
        host = request.host.lower()
        if host == entra.HOST:
            return entra.answer(request)
        if host == arm.HOST:
            return self._manager.answer(request)
        if host == apps.STREAMS:
            return self._apps.stream(request)
        for suffix, answer in (
            (vault.SUFFIX, self._vaults.answer),
            (blobs.SUFFIX, self._blobs.answer),
            (registry.HOST_SUFFIX, self._registry.answer),
            (apps.SUFFIX, self._apps.answer),
        ):
            if host.endswith(suffix):
                return answer(request)
        self.ledger.unknown[f"{request.method} https://{host}{request.path}"] += 1
        return refusal(404, "NotInTheRehearsal", f"{host} is not in the rehearsal.")

    def _write(self, line: str) -> None:
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%H:%M:%S')} {line}\n")
