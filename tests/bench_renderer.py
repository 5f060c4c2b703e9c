"""How long the whole `render-config` process takes for a large pool: `python -m tests.bench_renderer`.

Renders and validates 200 backends and 5000 clients several times, writing the files and only checking them,
and prints the seconds of wall-clock time, which a busy machine prolongs, and of CPU time, which it does not.
The target is less than 2 s.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET_SECONDS = 2.0


def large_env(backends: int, clients: int) -> str:
    """An env file with that many backends and clients."""
    lines = []
    for n in range(backends):
        lines += [
            f"AZURE_OPENAI_ENDPOINT_{n}=https://resource-{n}.openai.azure.com",
            f"AZURE_OPENAI_KEY_{n}=benchmark-backend-key-{n:08d}",
            f"AZURE_OPENAI_PRIORITY_{n}={n % 3}",
            f"AZURE_OPENAI_DEPLOYMENTS_{n}=gpt-4o,embeddings=text-embedding-3-small",
        ]
    for n in range(clients):
        lines += [
            f"GATEWAY_CLIENT_NAME_{n}=team-{n}",
            f"GATEWAY_CLIENT_KEY_{n}=benchmark-client-key-{n:08d}",
            f"GATEWAY_CLIENT_TOKENS_PER_MINUTE_{n}={n + 1}",
        ]
    return "\n".join(lines) + "\n"


def seconds_of(*arguments: str) -> tuple[float, float]:
    """Wall-clock time and CPU time of one `render-config` process."""
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    start, before = time.perf_counter(), _cpu_seconds()
    command = [sys.executable, "-m", "renderer", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=clean)
    return time.perf_counter() - start, _cpu_seconds() - before


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", type=int, default=200)
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        env_file = Path(directory) / "large.env"
        env_file.write_text(large_env(options.backends, options.clients))
        common = ("--env-file", str(env_file), "--output-dir", f"{directory}/out")
        for title, extra in (("render", ()), ("check only", ("--check",)), ("diff", ("--diff",))):
            runs = [seconds_of(*common, *extra) for _ in range(options.runs)]
            wall, cpu = ([run[kind] for run in runs] for kind in (0, 1))
            verdict = "within" if statistics.median(wall) < TARGET_SECONDS else "over"
            print(
                f"{title}: median {statistics.median(wall):.2f} s, best {min(wall):.2f} s, "
                f"worst {max(wall):.2f} s ({verdict} {TARGET_SECONDS:.0f} s); "
                f"CPU time {statistics.median(cpu):.2f} s"
            )


if __name__ == "__main__":
    main()
