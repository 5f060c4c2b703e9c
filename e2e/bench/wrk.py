"""The load: wrk, whose own Lua prints the result as JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.bench.workload import Request

_REPLY_SECONDS = 60
_RESULT = "RESULT "
_REFUSED_SHARE = 0.99

_DONE = """
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests":%d,"seconds":%f,"mean_ms":%f,"p50_ms":%f,"p99_ms":%f,"p999_ms":%f,'
            .. '"refused":%d,"broken":%d}\\n',
        summary.requests, summary.duration / 1e6, latency.mean / 1e3, latency:percentile(50) / 1e3,
        latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""
_TURNS = """
local requests, turn = {}, 0
init = function()
    for number, key in ipairs(keys) do
        requests[number] = wrk.format(nil, nil, headers_with(key))
    end
end
request = function()
    turn = turn %% #requests + 1
    return requests[turn]
end
function headers_with(key)
    local headers = {}
    for name, value in pairs(wrk.headers) do
        headers[name] = value
    end
    headers[%s] = key
    return headers
end
"""


class LoadError(Exception):
    """The answers were not what the load wants."""


def is_installed() -> bool:
    """Whether this machine has wrk."""
    return shutil.which("wrk") is not None


@dataclass(frozen=True)
class Load:
    """What wrk has seen."""

    requests: int
    seconds: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    refused: int
    """Answers of 400 and more."""
    broken: int
    """Errors of sockets and time-outs."""


def script(request: Request, pause_ms: int = 0) -> str:
    """A request in wrk's Lua, and the pause of a connection before it asks again."""
    lines = ['wrk.method = "POST"', f"wrk.body = {_lua(request.body)}"]
    lines += [f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in request.headers.items()]
    if request.keys:
        lines.append(f"keys = {{{', '.join(map(_lua, request.keys))}}}")
        lines.append(_TURNS % _lua(request.key_header))
    if pause_ms:
        lines.append(f"delay = function() return {pause_ms} end")
    return "\n".join([*lines, _DONE])


def _lua(text: str) -> str:
    """A text as Lua writes it. JSON's escapes are Lua's, except that of the slash, which it need not make."""
    return json.dumps(text, ensure_ascii=False)


def command(request: Request, path: Path, seconds: int, connections: int) -> list[str]:
    """The command that makes the load."""
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{_REPLY_SECONDS}s"]
    return ["wrk", *options, "-s", str(path), request.url]


def started(
    request: Request, path: Path, seconds: int, connections: int, pause_ms: int = 0
) -> subprocess.Popen[str]:
    """A load that runs for `seconds`; its script is written to `path`."""
    path.write_text(script(request, pause_ms))
    line = command(request, path, seconds, connections)
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603


def finished(process: subprocess.Popen[str], seconds: int) -> Load:
    """What a load has seen, once it has ended. Raises `LoadError` when it saw nothing."""
    try:
        said, _ = process.communicate(timeout=seconds + _REPLY_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LoadError(f"wrk did not end within {seconds + _REPLY_SECONDS} s") from None
    return parse(said)


def parse(said: str) -> Load:
    """The result in wrk's output."""
    for line in said.splitlines():
        if line.startswith(_RESULT):
            found: Mapping[str, Any] = json.loads(line.removeprefix(_RESULT))
            return Load(**found)
    raise LoadError(f"wrk gave no result: {' '.join(said.split()) or 'no output'}")


def check(load: Load, *, refused: bool) -> None:
    """Raises `LoadError` unless every answer is a good one, or nearly every one a refusal with `refused`."""
    if load.requests == 0:
        raise LoadError(f"no request was answered in {load.seconds:.0f} s")
    if load.broken:
        raise LoadError(f"{load.broken} of {load.requests} connections broke or timed out")
    if refused and load.refused < _REFUSED_SHARE * load.requests:
        raise LoadError(f"{load.requests - load.refused} of {load.requests} answers were no refusal")
    if not refused and load.refused:
        raise LoadError(f"{load.refused} of {load.requests} answers were errors")
