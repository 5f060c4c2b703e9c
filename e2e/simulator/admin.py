"""The admin API under ``/_simulator``: scripts and inspects the regions of a running process.

``/_simulator/{resource}`` is about the region of the port. ``/_simulator/regions/{name}/{resource}`` is about
any region of the process, even one whose own port refuses connections.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from e2e.simulator.answers import Answer, json_answer
from e2e.simulator.delivery import AT_ONCE, deliver
from e2e.simulator.faults import NO_FAULT, Fault
from e2e.simulator.problems import problems_of
from e2e.simulator.recorder import RecordedRequest
from e2e.simulator.regions import Family, Latency, PromptCaching, Quota
from e2e.simulator.server import ADMIN_PREFIX, RegionServer
from e2e.simulator.wire.connection import Channel
from e2e.simulator.wire.http import Request

KEY_HEADER = "x-simulator-admin-key"
HEALTH_PATH = f"{ADMIN_PREFIX}/health"
"""Needs no key, for probes."""

_FAULTS = TypeAdapter(list[Fault])
_QUOTA = TypeAdapter(Quota)
_LATENCY = TypeAdapter(Latency)


class _PromptCacheChange(BaseModel):
    model_config = ConfigDict(extra="forbid")
    enabled: bool = True
    life_s: float = Field(default=PromptCaching.life_s, gt=0)
    longest_s: float = Field(default=PromptCaching.longest_s, gt=0)


_PROMPT_CACHE = TypeAdapter(_PromptCacheChange)
_SURFACES = TypeAdapter(dict[Family, bool])
_TOOL_CALLS = TypeAdapter(dict[str, dict[str, Any]])


class AdminError(Exception):
    """The admin request is refused; ``problems`` has one line for each reason."""

    def __init__(self, status: int, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.status = status
        self.problems = problems


class Admin:
    """Serves the admin API for the regions of one process."""

    def __init__(self, servers: dict[str, RegionServer], key: str | None) -> None:
        self._servers = servers
        self._key = key

    async def handle(self, own: str, request: Request, channel: Channel) -> None:
        """Answer one admin request that came to the port of region ``own``."""
        try:
            if request.path == HEALTH_PATH:
                answer = json_answer({"status": "ok"})
            else:
                self._check_access(request)
                answer = await self._serve(own, request)
        except AdminError as error:
            answer = json_answer({"errors": error.problems}, error.status)
        await deliver(channel, answer, NO_FAULT, AT_ONCE)

    def _check_access(self, request: Request) -> None:
        if self._key is not None:
            given = request.header(KEY_HEADER) or ""
            if not hmac.compare_digest(given.encode(), self._key.encode()):
                raise AdminError(403, [f"the admin API needs the admin key in header {KEY_HEADER}"])
        elif not _is_loopback(request.peer):
            text = "without an admin key the admin API answers to loopback only: start with --admin-key"
            raise AdminError(403, [text])

    async def _serve(self, own: str, request: Request) -> Answer:
        parts = request.path.removeprefix(ADMIN_PREFIX).strip("/").split("/")
        if parts == ["regions"] and request.method == "GET":
            return json_answer({"regions": {name: _state(server) for name, server in self._servers.items()}})
        if parts[0] == "regions" and len(parts) == 3:
            own, resource = parts[1], parts[2]
        else:
            resource = "/".join(parts)
        server = self._servers.get(own)
        if server is None:
            raise AdminError(404, [f"no region {own!r} here; there are: {', '.join(self._servers)}"])
        methods = _RESOURCES.get(resource)
        if methods is None:
            raise AdminError(404, [f"no admin resource {resource!r}; there are: {', '.join(_RESOURCES)}"])
        action = methods.get(request.method)
        if action is None:
            raise AdminError(405, [f"{resource} takes {', '.join(methods)}, not {request.method}"])
        return json_answer(await action(server, request))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _state(server: RegionServer) -> dict[str, Any]:
    return {
        "region": server.region.name,
        "location": server.region.location,
        "port": server.listener.port,
        "refusing": server.listener.refusing,
        "deployments": server.state.deployment_names(),
        "surfaces": server.state.offers(),
        "prompt_cache": _prompt_cache(server),
        "tool_calls": server.state.tool_calls,
        "requests": server.recorder.total,
        "answers": server.state.generated,
        "stored": server.state.store.sizes(),
        "quota": {name: asdict(quota) for name, quota in server.state.quotas().items()},
        "latency": asdict(server.state.latency),
        "answer_tokens": server.state.answer_tokens,
        "faults": server.faults.describe(),
    }


async def _get_state(server: RegionServer, _: Request) -> Any:
    return _state(server)


async def _delete_state(server: RegionServer, _: Request) -> Any:
    await server.reset()
    return _state(server)


async def _get_faults(server: RegionServer, _: Request) -> Any:
    return {"faults": server.faults.describe()}


async def _put_faults(server: RegionServer, request: Request) -> Any:
    document = _document(request)
    faults = _validated_faults(document.get("faults") if isinstance(document, dict) else document)
    await server.clear_faults()
    return await _append(server, faults)


async def _post_faults(server: RegionServer, request: Request) -> Any:
    document = _document(request)
    return await _append(server, _validated_faults(document if isinstance(document, list) else [document]))


def _validated_faults(document: Any) -> list[Fault]:
    return list(_validated(_FAULTS, document, "fault", Fault.model_fields))


async def _append(server: RegionServer, faults: list[Fault]) -> Any:
    await server.add_faults(faults)
    return {"faults": server.faults.describe()}


async def _delete_faults(server: RegionServer, _: Request) -> Any:
    await server.clear_faults()
    return {"faults": []}


async def _get_requests(server: RegionServer, request: Request) -> Any:
    with_bodies = request.query.get("bodies", "true") != "false"
    return {"requests": [_described(record, with_bodies) for record in server.recorder.all()]}


async def _delete_requests(server: RegionServer, _: Request) -> Any:
    server.recorder.clear()
    return {"requests": []}


async def _get_quota(server: RegionServer, _: Request) -> Any:
    return {"quota": {name: asdict(quota) for name, quota in server.state.quotas().items()}}


async def _put_quota(server: RegionServer, request: Request) -> Any:
    document = _document(request)
    if not isinstance(document, dict) or not document:
        raise AdminError(400, ['expected {"<deployment>": {"tpm": …, "rpm": …}}'])
    quotas = {name: _validated(_QUOTA, quota, name) for name, quota in document.items()}
    known = server.state.deployment_names()
    unknown = [name for name in quotas if known is not None and name not in known]
    if unknown:
        raise AdminError(
            404, [f"no deployment {name!r} here; there are: {', '.join(known or [])}" for name in unknown]
        )
    for name, quota in quotas.items():
        server.state.set_quota(name, quota)
    return await _get_quota(server, request)


async def _get_latency(server: RegionServer, _: Request) -> Any:
    return {**asdict(server.state.latency), "answer_tokens": server.state.answer_tokens}


async def _put_latency(server: RegionServer, request: Request) -> Any:
    document = _document(request)
    if not isinstance(document, dict):
        raise AdminError(
            400, ['expected {"first_byte_ms": …, "per_token_ms": …, "jitter": …, "answer_tokens": …}']
        )
    answer_tokens = document.pop("answer_tokens", server.state.answer_tokens)
    if not isinstance(answer_tokens, int) or answer_tokens < 1:
        raise AdminError(400, ["answer_tokens: expected a positive integer"])
    server.state.set_latency(_validated(_LATENCY, document))
    server.state.answer_tokens = answer_tokens
    return await _get_latency(server, request)


async def _get_surfaces(server: RegionServer, _: Request) -> Any:
    return server.state.offers()


async def _put_surfaces(server: RegionServer, request: Request) -> Any:
    server.state.offer(_validated(_SURFACES, _document(request)))
    return server.state.offers()


def _prompt_cache(server: RegionServer) -> dict[str, Any]:
    cache = server.state.prompt_cache
    if cache is None:
        return {"enabled": False}
    return {"enabled": True, "life_s": cache.life_s, "longest_s": cache.longest_s, "beginnings": len(cache)}


async def _get_prompt_cache(server: RegionServer, _: Request) -> Any:
    return _prompt_cache(server)


async def _put_prompt_cache(server: RegionServer, request: Request) -> Any:
    change = _validated(_PROMPT_CACHE, _document(request), known=_PromptCacheChange.model_fields)
    server.state.cache_prompts(PromptCaching(change.life_s, change.longest_s) if change.enabled else None)
    return _prompt_cache(server)


async def _delete_prompt_cache(server: RegionServer, _: Request) -> Any:
    if server.state.prompt_cache is not None:
        server.state.prompt_cache.forget()
    return _prompt_cache(server)


async def _get_tool_calls(server: RegionServer, _: Request) -> Any:
    return server.state.tool_calls


async def _put_tool_calls(server: RegionServer, request: Request) -> Any:
    server.state.tool_calls = _validated(_TOOL_CALLS, _document(request))
    return server.state.tool_calls


def _described(record: RecordedRequest, with_body: bool) -> dict[str, Any]:
    description = asdict(record)
    body = description.pop("body")
    description["size"] = len(body)
    if with_body:
        description["body_base64"] = base64.b64encode(body).decode("ascii")
    return description


def _document(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise AdminError(400, [f"the body is not JSON: {error}"]) from None


def _validated(adapter: TypeAdapter[Any], document: Any, where: str = "", known: Iterable[str] = ()) -> Any:
    try:
        return adapter.validate_python(document)
    except ValidationError as error:
        raise AdminError(400, problems_of(error, where, known)) from None


_Action = Callable[[RegionServer, Request], Awaitable[Any]]
_RESOURCES: dict[str, dict[str, _Action]] = {
    "state": {"GET": _get_state, "DELETE": _delete_state},
    "faults": {"GET": _get_faults, "PUT": _put_faults, "POST": _post_faults, "DELETE": _delete_faults},
    "requests": {"GET": _get_requests, "DELETE": _delete_requests},
    "quota": {"GET": _get_quota, "PUT": _put_quota},
    "latency": {"GET": _get_latency, "PUT": _put_latency},
    "surfaces": {"GET": _get_surfaces, "PUT": _put_surfaces},
    "prompt_cache": {"GET": _get_prompt_cache, "PUT": _put_prompt_cache, "DELETE": _delete_prompt_cache},
    "tool_calls": {"GET": _get_tool_calls, "PUT": _put_tool_calls},
}
