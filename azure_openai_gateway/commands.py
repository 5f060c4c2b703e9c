"""The entry points of the console scripts: each makes our modules importable and starts one of them."""

import importlib
import os
import sys
from collections.abc import Callable

from azure_openai_gateway import ROOT


def _command(module: str, function: str = "main") -> Callable[[], None]:
    """The entry point that runs a function of a module."""

    def run() -> None:
        # Before all others: the user's environment may have a package `scripts` of its own.
        if sys.path[:1] != [str(ROOT)]:
            sys.path.insert(0, str(ROOT))
        if any(name.startswith("_") and name.endswith("_COMPLETE") for name in os.environ):
            from scripts.shell_completion import prepare

            prepare()
        getattr(importlib.import_module(module), function)()

    return run


aoai_gateway = _command("scripts.umbrella")
render_config = _command("renderer.cli")
local_gateway = _command("scripts.local_gateway")
azure_openai_simulator = _command("e2e.simulator.cli")
run_e2e_tests = _command("e2e.cli")
deploy_bootstrap = _command("scripts.deploy.cli", "main_bootstrap")
deploy_observability = _command("scripts.deploy.cli", "main_observability")
deploy_platform = _command("scripts.deploy.cli", "main_platform")
deploy_foundry = _command("scripts.deploy.cli", "main_foundry")
deploy_workload = _command("scripts.deploy.cli", "main_workload")
