"""A config API for tests: a real process beside a directory of rendered files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from scripts.engines.base import REPOSITORY
from tests.support.waiting import eventually

TOKEN = "token-of-the-config-api"
PATH = "/helpers/set-preferred-backends"
START_SECONDS = 60


@contextmanager
def config_api(
    env: Mapping[str, str], directory: Path, *options: str, bundle_root: str = "/nowhere"
) -> Iterator[httpx.Client]:
    """A client, with the token, of a config API that has published; `env` are all of its settings."""
    arguments = ["--output-dir", str(directory), "--bundle-root", bundle_root, *options]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "e2e.config_api", *arguments], cwd=REPOSITORY, env=env
        ) as api,
        httpx.Client(
            base_url=f"http://127.0.0.1:{env['CONFIG_API_PORT']}",
            headers={"authorization": f"Bearer {env['CONFIG_API_TOKEN']}"},
            timeout=30,
        ) as client,
    ):
        try:
            eventually(lambda: api.poll() is not None or _is_ready(client), seconds=START_SECONDS)
            assert api.poll() is None, "the config API ended"
            yield client
        finally:
            api.terminate()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False
