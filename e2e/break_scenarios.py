"""Breaks what each scenario promises, on purpose, and shows which criterion notices.

Run it with ``python -m e2e.break_scenarios [NAME…]``. Each row is one breakage: wrong settings or rendered
files that criteria do not know of, a changed copy of the bundle, or backends that misbehave. It ends with 1
when the criterion that has to notice a breakage does not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import yaml
from rich.console import Console

from e2e.load.behaviour_words import POISON
from e2e.load.session import LoadSession
from e2e.report.console import make_console
from e2e.scenarios import ALL
from e2e.scenarios.run import Result, run_scenario
from e2e.simulator import Latency
from e2e.targets.local import LocalTarget
from e2e.targets.simulators import BACKENDS, Simulators
from e2e.targets.stage import Breakage, Files

Pool = dict[str, Any]


@dataclass(frozen=True)
class Break:
    """One row: what is broken, and the criterion that has to notice."""

    scenario: str
    what: str
    breakage: Breakage
    criterion: str
    """The beginning of the criterion's name."""


def _in_pool(name: str, change: Callable[[Pool], None]) -> Breakage:
    """Changes one pool of the rendered files."""

    def changed(files: Files) -> Files:
        document = yaml.safe_load(files["apisix.yaml"])
        for metadata in document["plugin_metadata"]:
            for pool in metadata.get("pools", ()):
                if pool["name"] == name:
                    change(pool)
        return {**files, "apisix.yaml": yaml.safe_dump(document, sort_keys=False) + "#END\n"}

    return Breakage(files=changed)


def _weights(*weights: int) -> Callable[[Pool], None]:
    def change(pool: Pool) -> None:
        for backend, weight in zip(pool["backends"], weights, strict=True):
            backend["weight"] = weight

    return change


def _equal_priorities(pool: Pool) -> None:
    for backend in pool["backends"]:
        backend["priority"] = 0


def _round_robin(pool: Pool) -> None:
    pool["balancer"] = {"algorithm": "roundrobin"}


def _no_reserve(pool: Pool) -> None:
    for name in [name for name in pool if name not in ("name", "backends", "balancer")]:
        del pool[name]


def _poison_is_throttling(simulators: Simulators) -> None:
    for name in BACKENDS:
        simulators.clear(name)
        simulators.fault(name, status=429, retry_after=30, contains=POISON)


def _slow(simulators: Simulators) -> None:
    for name in BACKENDS:
        simulators.latency(name, Latency(first_byte_ms=2500))


BREAKS = (
    Break(
        "round-robin-simple",
        "weights 3:1 instead of 1:1",
        _in_pool("round-robin-simple", _weights(3, 1)),
        "share of payg-backend-1",
    ),
    Break(
        "round-robin-simple-v2",
        "the second backend is drained",
        _in_pool("round-robin-simple-v2", _weights(1, 0)),
        "share of payg-backend-2",
    ),
    Break(
        "round-robin-weighted",
        "weights 1:1 instead of 2:1",
        _in_pool("round-robin-weighted", _weights(1, 1)),
        "share of payg-backend-1",
    ),
    Break(
        "round-robin-weighted-v2",
        "weights 1:2 instead of 2:1",
        _in_pool("round-robin-weighted-v2", _weights(1, 2)),
        "share of payg-backend-1",
    ),
    Break(
        "retry-with-payg",
        "both backends have the same priority",
        _in_pool("retry-with-payg", _equal_priorities),
        "provisioned share while calm",
    ),
    Break(
        "retry-with-payg",
        "one attempt only (AI_PROXY_MAX_ATTEMPTS=1)",
        Breakage({"AI_PROXY_MAX_ATTEMPTS": "1"}),
        "failed requests",
    ),
    Break(
        "retry-with-payg-v2",
        "cool-downs end after 1 s (COOLDOWN_MAX_SECONDS=1)",
        Breakage({"COOLDOWN_MAX_SECONDS": "1", "COOLDOWN_DEFAULT_SECONDS": "1"}),
        "requests to it within its Retry-After",
    ),
    Break(
        "latency-routing",
        "the gateway's helper forwards an empty list",
        Breakage(
            bundle=(
                (
                    "azure-openai-config-api.lua",
                    'post(conf, body or "")',
                    "post(conf, '{\"preferredBackends\": []}')",
                ),
            )
        ),
        "share of the second backend once it is fast",
    ),
    Break(
        "latency-preference",
        "round robin instead of latency",
        _in_pool("latency-preference", _round_robin),
        "share of the first backend",
    ),
    Break(
        "prioritization",
        "the route that tracks keeps no reserve",
        _in_pool("prioritization-token-tracking", _no_reserve),
        "tracked: refusals without",
    ),
    Break(
        "usage-tracking",
        "the metric counts one token too many",
        Breakage(
            bundle=(
                (
                    "azure-openai/account/metrics.lua",
                    "metrics.tokens:inc(amount,",
                    "metrics.tokens:inc(amount + 1,",
                ),
            )
        ),
        "tokens of client-one",
    ),
    Break(
        "scalability",
        "replicas without Redis",
        Breakage({"REDIS_HOST": "", "REDIS_PORT": ""}),
        "requests that the limited client was granted",
    ),
    Break("scalability-burst", "backends take 2.5 s", Breakage(simulators=_slow), "95th percentile"),
    Break(
        "throttle-storm",
        "one attempt only (AI_PROXY_MAX_ATTEMPTS=1)",
        Breakage({"AI_PROXY_MAX_ATTEMPTS": "1"}),
        "failed requests while one throttles",
    ),
    Break(
        "throttle-storm",
        "refusals tell clients to come again in 1 ms",
        Breakage(
            bundle=(
                (
                    "azure-openai/outcome/final_answer.lua",
                    "math_max(math_min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS), 0.001)",
                    "0.001",
                ),
            )
        ),
        "median from the end of a hint",
    ),
    Break(
        "region-outage",
        "the breaker never opens (BREAKER_FAILURES=1000)",
        Breakage({"BREAKER_FAILURES": "1000"}),
        "requests that lost the read timeout",
    ),
    Break(
        "stream-faults",
        "streams are not probed (AI_PROXY_STREAM_PROBE_MS=0)",
        Breakage({"AI_PROXY_STREAM_PROBE_MS": "0"}),
        "failed streams whose fault came before output",
    ),
    Break(
        "key-rotation",
        "the second key of a client is not rendered",
        Breakage({"GATEWAY_CLIENT_KEY_SECONDARY_0": ""}),
        "failed requests",
    ),
    Break(
        "responses-affinity",
        "stored responses are open to all (STORED_RESOURCES=shared)",
        Breakage({"STORED_RESOURCES": "shared"}),
        "foreign reads",
    ),
    Break(
        "noisy-neighbour",
        "backends answer the poison with 429 and Retry-After 30",
        Breakage(simulators=_poison_is_throttling),
        "failed requests of the good clients",
    ),
)


def noticed(row: Break, result: Result) -> bool:
    """Whether the criterion that has to notice has failed."""
    return any(
        not criterion.passed and criterion.name.startswith(row.criterion) for criterion in result.criteria
    )


def table_row(row: Break, result: Result) -> str:
    """One row of the table, in Markdown."""
    failed = [
        f"{criterion.name}: {criterion.measured} instead of {criterion.expected}"
        for criterion in result.criteria
        if not criterion.passed
    ]
    # The one that has to notice comes first.
    failed.sort(key=lambda text: not text.startswith(row.criterion))
    shown = failed[0] if failed else result.error or result.skipped or "nothing failed"
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"| {row.scenario} | {row.what} | {shown}{more} |"


def _show(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def main() -> None:
    """Breaks and shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="scenarios; all by default")
    parser.add_argument("--engine", default="embedded", choices=["embedded", "apisix", "docker"])
    options = parser.parse_args()
    console = make_console()
    missed = []
    _show(console, "| Scenario | Broken on purpose | Criterion that failed |\n|---|---|---|")
    with closing(LocalTarget(options.engine)) as target, LoadSession() as load:
        for row in BREAKS:
            if options.names and row.scenario not in options.names:
                continue
            result = run_scenario(ALL[row.scenario], target, load, breakage=row.breakage)
            _show(console, table_row(row, result))
            if not noticed(row, result):
                missed.append(row)
    for row in missed:
        _show(console, f"NOT NOTICED: {row.scenario}: {row.what} ({row.criterion})")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
