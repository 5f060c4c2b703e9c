"""How much of a quota small and large requests use together (F2).

``python -m e2e.mixed_sizes --minutes 10`` sends requests of mixed sizes to two backends whose quotas count
tokens as Azure does, and asks for 90 % of their tokens. The times and sizes come from a seed. It ends by
itself and prints how many requests were answered and how much of the quota they used.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass

import httpx

from e2e.local_settings import backend_key, backend_settings, client_settings
from e2e.simulator import Quota, Region, Simulator
from scripts.engines import start_gateway

CLIENT_KEY = "client-key-of-mixed-sizes"
REGIONS = ["eastus", "westus"]
TOKENS_PER_MINUTE = 100_000
LOAD = 0.9
# Tokens that a request may take, and how often such requests are sent.
SIZES = {1_000: 0.80, 10_000: 0.15, 60_000: 0.05}
MEAN_SIZE = sum(size * share for size, share in SIZES.items())


@dataclass(frozen=True)
class Planned:
    """One request: in how many seconds it is sent, and how many tokens it may take."""

    at: float
    size: int


def plan(seed: int, minutes: float) -> list[Planned]:
    """Requests at random times, so many that they take the part LOAD of all quotas."""
    script = random.Random(seed)  # noqa: S311 - a repeatable plan, no secret
    rate = LOAD * TOKENS_PER_MINUTE * len(REGIONS) / MEAN_SIZE / 60
    requests, at = [], script.expovariate(rate)
    while at < minutes * 60:
        size = script.choices(list(SIZES), list(SIZES.values()))[0]
        requests.append(Planned(at, size))
        at += script.expovariate(rate)
    return requests


async def send(client: httpx.AsyncClient, planned: Planned, started: float, statuses: Counter[str]) -> int:
    """Sends one request once, at its time. Returns the tokens that it took of a quota."""
    await asyncio.sleep(started + planned.at - time.monotonic())
    body = {"model": "gpt-4o", "max_tokens": planned.size, "messages": [{"role": "user", "content": "Hello"}]}
    answer = await client.post("/openai/v1/chat/completions", json=body)
    statuses[f"{planned.size} tokens: {answer.status_code}"] += 1
    statuses["429 of backends"] += answer.headers.get("x-gateway-attempts", "").count(":429")
    return planned.size if answer.status_code == 200 else 0


async def run(url: str, requests: list[Planned]) -> tuple[Counter[str], int]:
    """Sends all requests. Returns what came back, and the tokens that were used."""
    statuses: Counter[str] = Counter()
    started = time.monotonic()
    async with httpx.AsyncClient(base_url=url, headers={"api-key": CLIENT_KEY}, timeout=60) as client:
        used = await asyncio.gather(*(send(client, planned, started, statuses) for planned in requests))
    return statuses, sum(used)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", default="embedded", choices=["embedded", "apisix", "docker"])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    requests = plan(options.seed, options.minutes)
    regions = [Region(name, backend_key(name)) for name in REGIONS]
    env = client_settings(0, "mixed-sizes", CLIENT_KEY)
    with Simulator(regions) as simulator:
        for index, name in enumerate(REGIONS):
            simulator.quota(name, "gpt-4o", Quota(tpm=TOKENS_PER_MINUTE))
            env |= backend_settings(index, name, simulator.endpoint(name))
        with start_gateway(env, engine=options.engine) as gateway:
            statuses, used = asyncio.run(run(gateway.url, requests))
    answered = sum(number for name, number in statuses.items() if name.endswith(": 200"))
    quota = options.minutes * TOKENS_PER_MINUTE * len(REGIONS)
    print(
        f"seed {options.seed}: {answered} of {len(requests)} answered, {used / quota:.1%} of the quota used"
    )
    for name, number in sorted(statuses.items()):
        print(f"  {name}: {number}")


if __name__ == "__main__":
    main()
