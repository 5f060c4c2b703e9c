"""One region at work: it checks the key, takes a fault, serves the call and records what happened."""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from e2e.simulator import error_bodies, routing, toolkit_config
from e2e.simulator.answers import Answer, Reply, dump
from e2e.simulator.calls import Call
from e2e.simulator.delivery import AT_ONCE, Pace, deliver
from e2e.simulator.error_bodies import AzureError
from e2e.simulator.faults import NO_FAULT, Fault, FaultScript
from e2e.simulator.operations import ephemeral_keys
from e2e.simulator.recorder import RecordedRequest, Recorder
from e2e.simulator.regions import Region
from e2e.simulator.state import RegionState
from e2e.simulator.surfaces import NOWHERE, Target, parse_target
from e2e.simulator.wire.connection import Channel, Handler
from e2e.simulator.wire.http import Request
from e2e.simulator.wire.listener import Listener

ADMIN_PREFIX = "/_simulator"


class RegionServer:
    """A region on its own port, on one event loop; ``admin`` serves the paths under ``/_simulator``."""

    def __init__(self, region: Region, host: str, admin: Handler) -> None:
        self.region = region
        self.state = RegionState(region)
        self.faults = FaultScript(region.seed)
        self.recorder = Recorder()
        self.listener = Listener(self._handle, host, region.port)
        self._admin = admin
        self._reopening: asyncio.TimerHandle | None = None

    async def add_faults(self, faults: Sequence[Fault]) -> None:
        """Append faults to the script; ``refuse`` takes effect at once."""
        for fault in faults:
            self.faults.add(fault)
            if fault.refuse is not None:
                self._refuse(fault.refuse)

    def _refuse(self, duration: float | Literal["forever"]) -> None:
        self.listener.refuse()
        if duration != "forever":
            loop = asyncio.get_running_loop()
            self._reopening = loop.call_later(duration, lambda: loop.create_task(self._accept()))

    async def clear_faults(self) -> None:
        """Forget the script and listen again."""
        self.faults.clear()
        await self._accept()

    async def _accept(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        await self.listener.accept()

    async def reset(self) -> None:
        """Return to the state at the start: no faults, recordings, stored objects or used quota."""
        await self.clear_faults()
        self.state = RegionState(self.region)
        self.recorder.clear()

    async def _handle(self, request: Request, channel: Channel) -> None:
        if request.path.startswith(ADMIN_PREFIX):
            await self._admin(request, channel)
            return
        if request.path == toolkit_config.PATH:
            wrong = self._credential_error(request, NOWHERE.surface.key_headers)
            answer = wrong.answer() if wrong else toolkit_config.serve(request, self.state)
            await deliver(channel, answer, NO_FAULT, AT_ONCE)
            return
        record = self.recorder.begin(request)
        try:
            await self._serve(request, channel, record)
        finally:
            self.recorder.end(record, channel.status, channel.gone)

    async def _serve(self, request: Request, channel: Channel, record: RecordedRequest) -> None:
        call = Call(request, parse_target(request.path), self.state)
        refused = self._refused(call)
        if refused is not None:
            self._add_headers(refused, call)
            await deliver(channel, refused, NO_FAULT, self._pace(""))
            return
        record.deployment = call.deployment_name
        fault = self.faults.take(request.method, request.path, record.deployment, request.body) or NO_FAULT
        call.fault = fault
        record.fault = next(iter(fault.outcomes), None)
        answer = _scripted_answer(fault, call) or routing.serve(call)
        self._add_headers(answer, call)
        await deliver(channel, answer, fault, self._pace(call.target.operation))

    def _pace(self, operation: str) -> Pace:
        return Pace(lambda: self.state.first_byte_s(operation), lambda: self.state.token_s(operation))

    def _refused(self, call: Call) -> Answer | None:
        """The answer to a call that no operation sees: its credential is wrong, or its surface absent."""
        if not self._accept_ephemeral_key(call):
            wrong = self._credential_error(call.request, call.surface.key_headers)
            if wrong is not None:
                return call.refusal(wrong)
        if call.surface.family not in self.state.surfaces:
            return error_bodies.unknown_path().answer()
        return None

    def _accept_ephemeral_key(self, call: Call) -> bool:
        """Whether a call begins a realtime session with a key that the region has made for it."""
        bearer = _bearer(call.request)
        if bearer is None or call.target.operation not in ("realtime", "realtime/calls"):
            return False
        call.bound_deployment = ephemeral_keys.deployment_of(self.state, bearer)
        return call.bound_deployment is not None

    def _credential_error(self, request: Request, key_headers: Sequence[str]) -> AzureError | None:
        """The 401 for a request without a valid key or token."""
        key = next((given for name in key_headers if (given := request.header(name)) is not None), None)
        bearer = _bearer(request)
        keys = [self.region.key, self.region.secondary_key]
        if key is None and bearer is not None:
            accepted = _matches(bearer, [*keys, self.region.token])
            return None if accepted else error_bodies.unauthorized(bearer=True)
        accepted = key is not None and _matches(key, keys)
        return None if accepted else error_bodies.unauthorized(bearer=False)

    def _add_headers(self, answer: Reply, call: Call) -> None:
        answer.headers += [
            *call.surface.id_headers(call.id),
            ("x-ms-region", self.region.location),
            ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
            ("x-content-type-options", "nosniff"),
        ]
        client_id = call.request.header("x-ms-client-request-id")
        if client_id is not None:
            answer.headers.append(("x-ms-client-request-id", client_id))
        if call.verdict is not None:
            answer.headers += call.surface.limit_headers(call.deployment.name, call.verdict)


def _scripted_answer(fault: Fault, call: Call) -> Answer | None:
    """The answer that a fault gives instead of the service, or ``None``."""
    if fault.reset or fault.hang:
        return Answer(200, b"")
    if fault.status is None and fault.garbage_hint is None:
        return None
    status = fault.status or 429
    headers = [*fault.headers.items(), *fault.retry_headers()]
    body, content_type = _scripted_body(fault, status, call)
    if any(name.lower() == "content-type" for name, _ in headers):
        content_type = next(value for name, value in headers if name.lower() == "content-type")
        headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
    return Answer(status, body, headers, content_type)


def _scripted_body(fault: Fault, status: int, call: Call) -> tuple[bytes, str]:
    if isinstance(fault.body, str):
        return fault.body.encode(), "text/plain; charset=utf-8"
    if fault.body is not None:
        return dump(fault.body).encode(), "application/json"
    if status == 429 and fault.code is None and fault.message is None:
        operation = _operation_id(call.target)
        error = call.forms.throttled("token", operation, call.api_version, _hinted_seconds(fault))
    else:
        error = call.forms.of_status(status, fault.code, fault.message)
    return dump(call.forms.body(error, call.id)).encode(), "application/json"


def _hinted_seconds(fault: Fault) -> int | None:
    """The number of seconds in the message of a scripted 429."""
    if fault.garbage_hint == "message_only":
        return 5
    for hint, per_second in ((fault.retry_after, 1), (fault.retry_after_ms, 1000)):
        with suppress(TypeError, ValueError, OverflowError):
            return max(0, math.ceil(float(hint or "") / per_second))
    return None


def _operation_id(target: Target) -> str:
    """``ChatCompletions_Create`` for ``chat/completions``, and so on."""
    words = target.operation.replace("/", " ").replace("_", " ").title().replace(" ", "")
    return f"{words}_Create"


def _bearer(request: Request) -> str | None:
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _matches(given: str, accepted: list[str | None]) -> bool:
    known = [secret.encode() for secret in accepted if secret]
    return any(hmac.compare_digest(given.encode("utf-8", "replace"), secret) for secret in known)
