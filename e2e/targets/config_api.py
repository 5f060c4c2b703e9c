"""A config API on this machine: a process beside a directory of rendered files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from e2e.targets.stage import TargetError
from e2e.waiting import eventually
from scripts.python_path import with_our_modules

TOKEN = "token-of-the-config-api"  # noqa: S105 - opens nothing but a process of this machine
PATH = "/helpers/set-preferred-backends"
START_SECONDS = 60
STOP_SECONDS = 30


@contextmanager
def config_api(
    env: Mapping[str, str],
    directory: Path,
    *options: str,
    bundle_root: str = "/nowhere",
    host: str = "127.0.0.1",
    quiet: bool = False,
) -> Iterator[httpx.Client]:
    """A client, with the token, of a config API that has published; `env` are all of its settings."""
    arguments = ["--output-dir", str(directory), "--bundle-root", bundle_root, *options]
    log = subprocess.DEVNULL if quiet else None
    with (
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "e2e.config_api", *arguments], env=with_our_modules(env), stderr=log
        ) as api,
        httpx.Client(
            base_url=f"http://{host}:{env['CONFIG_API_PORT']}",
            headers={"authorization": f"Bearer {env['CONFIG_API_TOKEN']}"},
            timeout=30,
        ) as client,
    ):
        try:
            eventually(lambda: api.poll() is not None or _is_ready(client), seconds=START_SECONDS)
            if api.poll() is not None:
                raise TargetError(f"the config API ended with exit status {api.returncode}")
            yield client
        finally:
            api.terminate()
            try:
                api.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                api.kill()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False
