"""Prints what each deploy command shows, from real runs on small stacks: `python -m tests.deploy.screens`.

The documentation has these screens. Terraform is real; Azure's answers are the ones of the tests' stand-ins.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import httpx
import typer

from scripts.deploy import cli, workload
from scripts.deploy.console import OutputFormat
from tests.deploy.gateway_server import running_gateway
from tests.deploy.support import FakeAz, make_stacks, write_tfvars
from tests.deploy.test_workload import CLIENT_KEY, RUNNING, make_sources
from tests.deploy.vault_server import running
from tests.support.certificates import make_certificate

_TABLE = OutputFormat.TABLE


def show(title: str, run: Callable[[], None], root: Path) -> None:
    """Run a command and print its line, its screen, its exit code and its time."""
    screen = io.StringIO()
    started = time.monotonic()
    code = 0
    with redirect_stdout(screen), redirect_stderr(screen):
        try:
            run()
        except typer.Exit as ended:
            code = int(ended.exit_code)
    took = time.monotonic() - started
    text = re.sub(r"id=[0-9a-f-]{36}", "id=…", screen.getvalue().replace(str(root), "…"))
    text = re.sub(r"127\.0\.0\.1:\d+", "gateway.example.com", text)
    sys.stdout.write(f"$ uv run {title}\n{text.rstrip()}\n[exit code {code}, {took:.1f} s]\n\n")


def main() -> None:
    """Walk through an installation's life."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        layout = make_stacks(root)
        (root / "bin").mkdir()
        az = FakeAz.install(root / "bin")
        az.answer(
            "account show", {"user": {"name": "alice@example.com"}, "id": "s", "name": "n", "tenantId": "t"}
        )
        az.answer("provider show", "Registered")
        az.answer("containerapp revision show", RUNNING)
        az.answer("acr repository show", error="ERROR: the specified tag does not exist.")
        az.answer("acr build")
        os.environ |= {
            "GATEWAY_STACKS_DIR": str(layout.stacks),
            "GATEWAY_STATE_DIR": str(root / "state"),
            "PATH": az.path,
            "COLUMNS": "110",
            "TF_CLI_CONFIG_FILE": os.devnull,
        }
        make_sources(root / "repository")
        with running(make_certificate(root)) as (_, client), running_gateway(CLIENT_KEY) as gateway:
            settings = {
                "url": gateway.url,
                "app_settings": {"GATEWAY_CLIENT_NAME_0": "team-a"},
                "secrets": {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY},
            }
            write_tfvars(layout, "workload", **settings)
            outside = workload.Outside(lambda _: client, httpx.Client, root / "repository")
            real = workload.deploy_workload
            workload.deploy_workload = lambda session, mode, options: real(session, mode, options, outside)  # type: ignore[assignment]
            e = "dev"
            show("doctor -e dev", lambda: cli.doctor(e, _TABLE), root)
            show("deploy-platform -e dev --yes", lambda: cli.platform(e, False, True, _TABLE), root)
            show("deploy-bootstrap -e dev --yes", lambda: cli.bootstrap(e, False, True, _TABLE), root)
            show(
                "deploy-observability -e dev --plan", lambda: cli.observability(e, True, False, _TABLE), root
            )
            show("deploy-observability -e dev --yes", lambda: cli.observability(e, False, True, _TABLE), root)
            show("deploy-platform -e dev --yes", lambda: cli.platform(e, False, True, _TABLE), root)
            show("deploy-foundry -e dev --yes", lambda: cli.foundry(e, False, True, _TABLE), root)
            show("deploy-workload -e dev --yes", lambda: cli.workload(e, False, True, _TABLE), root)
            az.answer("acr repository show", {"name": "there"})
            show("deploy-workload -e dev --plan", lambda: cli.workload(e, True, False, _TABLE), root)
            broken = {
                **settings,
                "app_settings": {"GATEWAY_CLIENT_NAME_0": "team-a", "COOLDOWN_MAX_SECONDS": "soon"},
            }
            broken["app_settings"]["AZURE_OPENAI_WIEGHT_0"] = "2"
            write_tfvars(layout, "workload", **broken)
            show("deploy-workload -e dev --yes", lambda: cli.workload(e, False, True, _TABLE), root)
            write_tfvars(layout, "workload", **settings)
            show("status -e dev", lambda: cli.status(e, _TABLE), root)
            show("status -e dev -o json", lambda: cli.status(e, OutputFormat.JSON), root)
            show(
                "destroy workload -e dev --plan",
                lambda: cli.destroy(cli.Target.WORKLOAD, e, True, False, _TABLE),
                root,
            )
            show(
                "destroy all -e dev --yes", lambda: cli.destroy(cli.Target.ALL, e, False, True, _TABLE), root
            )


if __name__ == "__main__":
    main()
