"""Measures the cost of the gateway: requests per second of one worker, its CPU time, the delay that it adds.

Run it with ``python -m e2e.bench`` on a machine with nothing else to do. It needs nginx and wrk on PATH and
ends on its own. The backends are an nginx with fixed answers, so nearly all of the time is the gateway's. The
last line of the result is the same nginx behind a plain proxy, for comparison.

``python -m e2e.bench --part stalls`` measures how long one large body keeps the other requests of a worker
waiting. It needs nginx only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from e2e.large_bodies import CLASSES, MIB, LargeBody, large_body
from e2e.local_settings import backend_settings, client_settings
from scripts.engines import EngineError, Gateway, start_gateway
from scripts.engines.ports import free_ports

CLIENT_KEY = "client-key-of-the-benchmark"
EVENTS = 20
CONNECTIONS = 16
LARGE_BODY_MIB = 60
WARM_UP_SECONDS = 3
"""Time for LuaJIT to compile the hot code."""

_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
_USAGE = {"prompt_tokens": 9, "completion_tokens": EVENTS, "total_tokens": 9 + EVENTS}
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}

_NGINX_CONF = """\
daemon off;
worker_processes 1;
pid nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type application/json;
    upstream serving { server 127.0.0.1:%(serving)d; keepalive 64; }
    server {
        listen 127.0.0.1:%(serving)d;
        location /openai/deployments/answer/ { return 200 '%(answer)s'; }
        location /openai/deployments/stream/ { error_page 405 =200 /stream; return 405; }
        location /openai/v1/ { client_max_body_size 0; return 200 '{}'; }
        location = /stream { default_type text/event-stream; root .; }
    }
    server {
        listen 127.0.0.1:%(throttled)d;
        add_header retry-after-ms 1 always;
        location / { return 429 '{"error": {"code": "429", "message": "Slow down."}}'; }
    }
    server {
        listen 127.0.0.1:%(proxy)d;
        location / {
            proxy_pass http://serving;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
"""


@dataclass(frozen=True)
class Backends:
    """The ports of the nginx with fixed answers."""

    serving: int
    throttled: int
    proxy: int


@dataclass(frozen=True)
class Result:
    """One line of the result: 16 connections for the first two figures, one connection for the delays."""

    requests_per_second: float
    cpu_us: float | None
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        cpu = "-" if self.cpu_us is None else f"{self.cpu_us:.0f}"
        return f"{self.requests_per_second:>9.0f} {cpu:>9} {self.p50_ms:>9.2f} {self.p99_ms:>9.2f}"


def answer() -> str:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
    return json.dumps({**_CHUNK, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def stream() -> str:
    """The same as an event stream with usage at its end."""
    choices = [{"index": 0, "delta": {"content": "Paris. "}, "finish_reason": None}]
    events = [{**_CHUNK, "choices": choices}] * EVENTS + [{**_CHUNK, "choices": [], "usage": _USAGE}]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def wrk_script(case: str) -> str:
    """The request, in wrk's Lua."""
    body: dict[str, object] = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }
    if case == "stream":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"api-key": CLIENT_KEY, "content-type": "application/json"}
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    return "\n".join(['wrk.method = "POST"', *lines, f"wrk.body = [[{json.dumps(body)}]]", ""])


@contextmanager
def running_backends(directory: Path) -> Iterator[Backends]:
    """The nginx with fixed answers."""
    backends = Backends(*free_ports(3))
    directory.chmod(0o755)  # nginx's worker may be another user
    (directory / "stream").write_text(stream())
    (directory / "nginx.conf").write_text(_NGINX_CONF % {**vars(backends), "answer": answer()})
    command = ["nginx", "-p", f"{directory}/", "-c", "nginx.conf", "-e", "nginx.log"]
    process = subprocess.Popen(command)  # noqa: S603
    try:
        yield backends
    finally:
        process.terminate()
        process.wait()


def environment(case: str, backends: Backends) -> dict[str, str]:
    """One backend that serves; for `failover`, a throttled one before it, each time for a millisecond."""
    env = client_settings(0, "bench", CLIENT_KEY)
    env |= backend_settings(0, "serving", f"http://127.0.0.1:{backends.serving}")
    if case == "failover":
        env |= backend_settings(1, "throttled", f"http://127.0.0.1:{backends.throttled}", priority="10")
    return env


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wrk(url: str, script: Path, seconds: int, connections: int) -> str:
    """The output of wrk after `seconds`. Exits when an answer was not a 200."""
    command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"not every request was answered:\n{said}")
    return said


def percentile_ms(said: str, percent: int) -> float:
    """A percentile of wrk's table, in milliseconds."""
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)$", said, re.MULTILINE)
    assert found, said
    return float(found[1]) * _UNITS[found[2]]


def measure(url: str, script: Path, seconds: int, pids: list[int]) -> Result:
    """Many connections, then one."""
    wrk(url, script, WARM_UP_SECONDS, CONNECTIONS)
    before, started = sum(map(cpu_seconds, pids)), time.monotonic()
    said = wrk(url, script, seconds, CONNECTIONS)
    spent, elapsed = sum(map(cpu_seconds, pids)) - before, time.monotonic() - started
    found = re.search(r"(\d+) requests in", said)
    assert found, said
    count = int(found[1])
    alone = wrk(url, script, seconds, 1)
    cpu_us = spent * 1e6 / count if pids else None
    return Result(count / elapsed, cpu_us, percentile_ms(alone, 50), percentile_ms(alone, 99))


def send(url: str, body: LargeBody) -> None:
    """Sends a body, in a process of its own. The answer does not matter."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    headers = {"api-key": CLIENT_KEY, "content-type": body.content_type}
    connection.request("POST", body.target, body.content, headers)
    connection.getresponse().read()


def longest_stall_ms(gateway: Gateway, body: LargeBody) -> float:
    """How long a small request waited at most, while the worker read a large one."""
    pinging = http.client.HTTPConnection(urlsplit(gateway.url).netloc)
    longest = 0.0
    sending = multiprocessing.Process(target=send, args=(gateway.url, body))
    sending.start()
    while sending.is_alive():
        asked = time.monotonic()
        pinging.request("GET", "/nothing")
        pinging.getresponse().read()
        longest = max(longest, time.monotonic() - asked)
        time.sleep(0.001)
    sending.join()
    return longest * 1000


def measure_requests(engine: str, seconds: int, directory: Path, backends: Backends) -> None:
    """Prints a line for each kind of request."""
    print(f"{'':10} {'req/s':>9} {'CPU us':>9} {'p50 ms':>9} {'p99 ms':>9}")
    script = directory / "request.lua"
    for case in ("answer", "stream", "failover"):
        script.write_text(wrk_script(case))
        path = f"/openai/deployments/{'stream' if case == 'stream' else 'answer'}/chat/completions"
        with start_gateway(environment(case, backends), engine=engine) as gateway:
            url = f"{gateway.url}{path}?api-version=2024-10-21"
            print(f"{case:10} {measure(url, script, seconds, gateway.children)}", flush=True)
    script.write_text(wrk_script("answer"))
    plain = f"http://127.0.0.1:{backends.proxy}/openai/deployments/answer/chat/completions"
    print(f"{'nginx':10} {measure(plain, script, seconds, [])}")


def measure_stalls(engine: str, backends: Backends) -> None:
    """Prints a line for each class of large bodies."""
    print(f"{'':20} {'MiB':>6} {'stall ms':>9}")
    for shape in CLASSES:
        body = large_body(shape, LARGE_BODY_MIB * MIB)
        with start_gateway(environment("answer", backends), engine=engine) as gateway:
            stall = longest_stall_ms(gateway, body)
        print(f"{shape:20} {len(body.content) / MIB:>6.1f} {stall:>9.1f}", flush=True)


def main() -> None:
    """Measures one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", default="embedded", choices=["embedded", "apisix", "docker"])
    parser.add_argument("--part", default="requests", choices=["requests", "stalls"])
    parser.add_argument("--seconds", type=int, default=5, help="length of each measurement of requests")
    options = parser.parse_args()
    needed = ("nginx", "wrk") if options.part == "requests" else ("nginx",)
    missing = [tool for tool in needed if shutil.which(tool) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)} (on Debian: apt-get install {' '.join(missing)})")

    with tempfile.TemporaryDirectory(prefix="bench-") as name, running_backends(Path(name)) as backends:
        try:
            if options.part == "requests":
                measure_requests(options.engine, options.seconds, Path(name), backends)
            else:
                measure_stalls(options.engine, backends)
        except EngineError as error:
            sys.exit("\n".join(error.problems))


if __name__ == "__main__":
    main()
