"""What is measured: each row has a pool, a load, and the figures that it shows."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.bench import pools
from e2e.bench.pools import Pool
from e2e.bench.workload import ANSWER, PROMPT_BYTES

LOAD, FIRST_TOKEN, TRIALS = "load", "first token", "trials"


@dataclass(frozen=True)
class Figure:
    """One number of a row: its name among the measured ones, its unit, and what to say of it."""

    key: str
    unit: str
    title: str = ""
    above_direct: bool = False
    """Whether the figure without a gateway is taken off."""


CPU = Figure("cpu_us", "µs")


@dataclass(frozen=True)
class Row:
    """One thing to measure."""

    name: str
    title: str
    pool: Pool = pools.ONE
    figures: tuple[Figure, ...] = (CPU,)
    deployment: str = ANSWER
    size: int = 0
    """The bytes of the prompt; 0 for a short one."""
    connections: int = 16
    pause_ms: int = 0
    """How long a connection pauses before it asks again."""
    client: str = LOAD
    refused: bool = False
    """Whether nearly all answers have to be refusals."""

    @property
    def is_direct(self) -> bool:
        """Whether the row says something without a gateway."""
        return any(figure.above_direct for figure in self.figures)


ROWS = (
    Row("small", "222-byte answer"),
    Row("prompt", "64 KB prompt", size=PROMPT_BYTES),
    Row("stream50", "stream, 50 events at once", deployment="stream50"),
    Row("stream500", "stream, 500 events at once", deployment="stream500"),
    Row(
        "paced",
        "stream, 50 events 10 ms apart, 64 at a time",
        deployment="paced",
        connections=64,
    ),
    Row("throttled", "preferred backend throttled", pools.FAILOVER),
    Row("all-throttled", "all backends throttled", pools.ALL_THROTTLED, refused=True),
    Row("limit", "the client's own limit used up", pools.LIMIT, refused=True),
    Row("backends-2", "2 equal backends", pools.TWO),
    Row("backends-200", "200 equal backends", pools.MANY),
    Row("clients-5000", "5,000 clients in turns", pools.CLIENTS),
    Row("redis", "limits shared by Redis", pools.REDIS),
    # At the same rate: a target that is busy lets others sleep, and to wake them costs it time as well.
    Row("telemetry", "with pauses: records, metrics, and traces to a collector", pools.TELEMETRY, pause_ms=3),
    Row("silent", "with pauses: none of these", pools.SILENT, pause_ms=3),
    Row(
        "alone",
        "one connection",
        figures=(
            Figure("p50_ms", "ms", "p50"),
            Figure("p99_ms", "ms", "p99"),
            Figure("p999_ms", "ms", "p99.9"),
            Figure("p50_ms", "ms", "p50 added", above_direct=True),
            Figure("p99_ms", "ms", "p99 added", above_direct=True),
        ),
        connections=1,
    ),
    Row(
        "busy",
        "32 connections",
        figures=(
            Figure("p50_ms", "ms", "p50"),
            Figure("p99_ms", "ms", "p99"),
            Figure("p99_by_p50", "times", "p99 ÷ p50"),
            Figure("per_second", "/s", "requests"),
            Figure("pss_mib", "MiB", "memory"),
            Figure("connections", "", "connections to the backend"),
        ),
        connections=32,
    ),
    Row(
        "first-token",
        "time to the first token, one connection",
        figures=(
            Figure("first_token_ms", "ms", "p50"),
            Figure("first_token_ms", "ms", "p50 added", above_direct=True),
        ),
        deployment="first",
        connections=1,
        client=FIRST_TOKEN,
    ),
    Row(
        "trials",
        "32 connections, end of a cool-down",
        pools.TRIALS,
        (Figure("trials", "", "trial requests"),),
        connections=32,
        client=TRIALS,
    ),
)
