"""How a Python process that is started here finds `renderer`, `scripts` and `e2e`."""

import os
from collections.abc import Mapping

from scripts.engines.base import REPOSITORY


def with_our_modules(env: Mapping[str, str]) -> dict[str, str]:
    """The environment for such a process: ours come before any of the same name in the user's environment."""
    given = env.get("PYTHONPATH")
    return {**env, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{given}" if given else str(REPOSITORY)}
