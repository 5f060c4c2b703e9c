"""One nginx with fixed answers, which plays every backend and takes little time itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.bench.nginx import running_nginx
from e2e.bench.pools import MANY, SERVING
from e2e.bench.workload import (
    ANSWER,
    LONG_REST_SECONDS,
    REST_SECONDS,
    STREAMS,
    TRIAL_ANSWER_MS,
    TRIAL_REST_MS,
    answer,
    events,
)
from scripts.engines import EngineError
from scripts.engines.embedded import EmbeddedEngine
from scripts.engines.ports import free_ports

TRIALS_LOG = "trials.log"

# A stream's events leave in one piece unless it pauses: nginx sends what it has postponed at the end.
_CONF = """
    log_format moment '$msec';
    init_by_lua_block {{
        streams = {{}}
        for name, pause in pairs({{ {pauses} }}) do
            local events = {{}}
            for event in io.open("{directory}/" .. name):read("*a"):gmatch("(.-\\n\\n)") do
                events[#events + 1] = event
            end
            streams[name] = {{ events = events, pause = pause }}
        end
        function send(stream)
            ngx.req.discard_body()
            ngx.header.content_type = "text/event-stream"
            for number, event in ipairs(stream.events) do
                if number > 1 and stream.pause > 0 then
                    ngx.flush()
                    ngx.sleep(stream.pause)
                end
                ngx.print(event)
            end
        end
        function throttle(rest_ms)
            ngx.status = 429
            ngx.header["retry-after-ms"] = rest_ms
            ngx.header["retry-after"] = math.ceil(rest_ms / 1000)
            ngx.print('{{"error": {{"code": "429", "message": "Slow down."}}}}')
        end
    }}
    server {{
        {listen}
        location /openai/deployments/{answer_name}/ {{ return 200 '{answer}'; }}
        {streams}
    }}
    {refusing}
    server {{
        listen 127.0.0.1:{trial} backlog=1024;
        location / {{
            access_log {trials_log} moment;
            content_by_lua_block {{
                ngx.req.discard_body()
                ngx.sleep({trial_answer_s})
                throttle({trial_rest_ms})
            }}
        }}
    }}
    server {{
        listen 127.0.0.1:{sink} backlog=1024;
        location / {{ return 200 '{{}}'; }}
    }}
"""
_REFUSING = """server {{
        listen 127.0.0.1:{port} backlog=1024;
        add_header retry-after {seconds} always;
        add_header retry-after-ms {seconds}000 always;
        location / {{ return 429 '{{"error": {{"code": "429", "message": "Slow down."}}}}'; }}
    }}
"""
_STREAM = """location /openai/deployments/{name}/ {{
            postpone_output 1m;
            content_by_lua_block {{ send(streams.{name}) }}
        }}
"""


@dataclass(frozen=True)
class Backends:
    """Where the backends of each kind are, and the sink for telemetry."""

    directory: Path
    serving: int
    throttled: int
    resting: int
    trial: int
    sink: int

    def url(self, kind: str, number: int = 0) -> str:
        """The address of a backend; those that serve have one each, so that none is taken for another."""
        if kind == SERVING:
            return f"http://{_host(number)}:{self.serving}"
        return f"http://127.0.0.1:{getattr(self, kind)}"

    def trial_moments(self) -> list[float]:
        """When the backend for trials was asked, in seconds."""
        return [float(line) for line in (self.directory / TRIALS_LOG).read_text().split()]

    def forget_trials(self) -> None:
        """Begins a new list of moments."""
        with (self.directory / TRIALS_LOG).open("r+") as log:
            log.truncate()


def missing() -> str | None:
    """Why the backends cannot run here; they need the same nginx with Lua as the embedded engine."""
    return EmbeddedEngine().missing()


@contextmanager
def running_backends(directory: Path) -> Iterator[Backends]:
    """The nginx with fixed answers."""
    absent = missing()
    if absent:
        raise EngineError(absent)
    backends = Backends(directory, *free_ports(5))
    directory.mkdir(parents=True, exist_ok=True)
    for name, stream in STREAMS.items():
        (directory / name).write_text("".join(events(stream)))
    with running_nginx(directory, _http(backends), backends.serving, lua=True):
        yield backends


def _host(number: int) -> str:
    return f"127.0.0.{number + 1}"


def _http(backends: Backends) -> str:
    hosts = [_host(number) for number in range(len(MANY.backends))]
    return _CONF.format(
        pauses=", ".join(f"{name} = {stream.pause_ms / 1000}" for name, stream in STREAMS.items()),
        directory=backends.directory,
        listen="\n".join(f"listen {host}:{backends.serving} backlog=1024;" for host in hosts),
        answer_name=ANSWER,
        answer=answer(),
        streams="".join(_STREAM.format(name=name) for name in STREAMS),
        refusing=_REFUSING.format(port=backends.throttled, seconds=REST_SECONDS)
        + _REFUSING.format(port=backends.resting, seconds=LONG_REST_SECONDS),
        trial=backends.trial,
        trials_log=TRIALS_LOG,
        trial_answer_s=TRIAL_ANSWER_MS / 1000,
        trial_rest_ms=TRIAL_REST_MS,
        sink=backends.sink,
    )
