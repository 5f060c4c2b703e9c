"""Sends many requests through mixed faults: is an answer lost or doubled, and does a worker's memory grow?

Run it with ``python -m e2e.soak --requests 100000``. It ends on its own and prints the worker's memory
meanwhile. It exits with 1 when an answer was lost or doubled, or when memory kept growing.
With ``--hostile --minutes 60`` it runs the clients of `e2e.hostile` instead.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from e2e import hostile
from e2e.local_settings import backend_key, backend_settings, client_settings
from e2e.simulator import Region, Simulator
from scripts.engines import Gateway, start_gateway

REGIONS = ("eastus", "westus", "swedencentral")
CLIENT_KEY = "client-key-of-the-soak"
CONCURRENCY = 16
SAMPLES = 20
GROWTH_LIMIT_KIB = 2048
"""How much a worker's memory may grow after the warm-up."""

# Most backends have to serve most of the time; otherwise the gateway would refuse instead of failing over. So
# the hints are short. The fault without a hint is rare, because it cools a backend down for a whole second.
FAULTS: list[dict[str, Any]] = [
    {"status": 429, "retry_after_ms": 5, "probability": 0.05},
    {"status": 500, "probability": 0.03},
    {"reset": True, "probability": 0.02},
    {"cut": 1, "probability": 0.02},
    {"cut": 9, "probability": 0.02},
    {"stream_error": "auto", "code": "too_many_requests", "probability": 0.0003},
]
TRUE_ERRORS = {429, 500, 503}
"""The statuses that a client may get when no backend could serve."""


@dataclass
class Tally:
    """What the clients got."""

    outcomes: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def doubled(self) -> int:
        """Answers that reached more than one client, or one client twice."""
        return sum(count - 1 for count in self.answers.values())


def environment(sim: Simulator) -> dict[str, str]:
    """Three equal backends that recover quickly."""
    env = client_settings(0, "soak", CLIENT_KEY) | {
        "COOLDOWN_DEFAULT_SECONDS": "1",
        "BREAKER_OPEN_SECONDS": "1",
        "BREAKER_MAX_OPEN_SECONDS": "1",
    }
    for index, region in enumerate(REGIONS):
        env |= backend_settings(index, region, sim.endpoint(region))
    return env


def worker_rss_kib(gateway: Gateway) -> int:
    """Resident memory of the gateway's only worker."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in gateway.children]
    return max(int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) for status in statuses)


async def ask(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
    """Sends one request, streamed or not, and records its result."""
    is_stream = dice.random() < 0.5
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "stream": is_stream}
    try:
        response = await client.post("/openai/v1/chat/completions", json=body)
    except httpx.RemoteProtocolError:
        tally.outcomes["broken after output"] += 1
        return
    if response.status_code != httpx.codes.OK:
        known = response.status_code in TRUE_ERRORS
        tally.outcomes[f"status {response.status_code}" if known else "wrong status"] += 1
        return
    names = re.findall(r"(?:eastus|westus|swedencentral)/gpt-4o#\d+:", response.text)
    is_whole = "data: [DONE]" in response.text if is_stream else response.text.endswith("}")
    if len(names) != 1 or not is_whole:
        tally.outcomes["lost or mixed"] += 1
        return
    tally.outcomes["answered"] += 1
    tally.answers[names[0]] += 1


async def work(client: httpx.AsyncClient, tally: Tally, dice: random.Random, left: Iterator[int]) -> None:
    """One of several clients that take the remaining requests in turn."""
    for _ in left:
        await ask(client, tally, dice)


async def drive(gateway: Gateway, requests: int, seed: int) -> tuple[Tally, list[int]]:
    """Sends the requests and samples the worker's memory meanwhile."""
    tally, samples = Tally(), []
    dice = random.Random(seed)  # noqa: S311
    limits = httpx.Limits(max_connections=CONCURRENCY)
    async with httpx.AsyncClient(
        base_url=gateway.url, headers={"api-key": CLIENT_KEY}, limits=limits, timeout=30
    ) as client:
        share = max(requests // SAMPLES, 1)
        for _ in range(SAMPLES):
            left = iter(range(share))
            await asyncio.gather(*(work(client, tally, dice, left) for _ in range(CONCURRENCY)))
            samples.append(worker_rss_kib(gateway))
            print(f"{sum(tally.outcomes.values()):>8} requests, worker {samples[-1]} KiB", flush=True)
    return tally, samples


def growth_kib(samples: list[int]) -> int:
    """How much the last quarter's least sample is above the third quarter's greatest.

    The first half is the warm-up: LuaJIT compiles, and keeps, each path that has become hot.
    """
    quarter = max(len(samples) // 4, 1)
    return min(samples[-quarter:]) - max(samples[-2 * quarter : -quarter])


def main() -> None:
    """Runs the soak and judges it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", default="embedded", choices=["embedded", "apisix", "docker"])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hostile", action="store_true", help="hostile and good clients, for --minutes")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--output", type=Path, default=Path("build/soak"), help="for the CSV and the plot")
    options = parser.parse_args()
    sys.exit((soak_hostile if options.hostile else soak_faults)(options))


def soak_hostile(options: argparse.Namespace) -> int:
    """Hostile and good clients side by side, see `e2e.hostile`."""
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    regions = [
        Region(name, key=backend_key(name), seed=options.seed, deployments=hostile.DEPLOYMENTS)
        for name in REGIONS
    ]
    with Simulator(regions) as sim:
        hostile.script(sim)
        env = environment(sim) | hostile.settings()
        with start_gateway(env, engine=options.engine) as gateway:
            tally, samples = asyncio.run(
                hostile.drive(
                    gateway,
                    options.minutes,
                    options.seed,
                    lambda: worker_rss_kib(gateway),
                    output / "soak.csv",
                )
            )
    text, fine = hostile.report(tally, samples)
    (output / "soak.svg").write_text(hostile.plot(samples))
    (output / "soak.txt").write_text(text + "\n")
    print(text)
    return 0 if fine else 1


def soak_faults(options: argparse.Namespace) -> int:
    """Many requests through mixed faults."""
    regions = [Region(name, key=backend_key(name), seed=options.seed) for name in REGIONS]
    with Simulator(regions) as sim, start_gateway(environment(sim), engine=options.engine) as gateway:
        for region in REGIONS:
            for fault in FAULTS:
                sim.fail(region, **fault)
        tally, samples = asyncio.run(drive(gateway, options.requests, options.seed))

    for outcome, count in sorted(tally.outcomes.items()):
        print(f"{outcome:>20}: {count}")
    lost = tally.outcomes["lost or mixed"] + tally.outcomes["wrong status"]
    print(f"lost or wrong: {lost}, doubled: {tally.doubled}, memory growth: {growth_kib(samples)} KiB")
    return 1 if lost or tally.doubled or growth_kib(samples) > GROWTH_LIMIT_KIB else 0


if __name__ == "__main__":
    main()
