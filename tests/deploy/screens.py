"""Prints the screen of each deploy command, from real runs on small stacks: `python -m tests.deploy.screens`.

The documentation has these screens. Each command is a process of its own with a real Terraform. The tests'
stand-ins answer for Azure.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.deploy.arm_server import CONTRIBUTOR, running_azure
from tests.deploy.commands import CLIENT_KEY, Installation, installation
from tests.deploy.support import SUBSCRIPTION

SETTINGS = {"GATEWAY_CLIENT_NAME_0": "team-a"}
MISTAKES = {**SETTINGS, "COOLDOWN_MAX_SECONDS": "soon", "AZURE_OPENAI_WIEGHT_0": "2"}
KEY = {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY}
ROTATED = {**KEY, "GATEWAY_CLIENT_KEY_SECONDARY_0": CLIENT_KEY[::-1]}


def show(made: Installation, line: str) -> None:
    """Run a command and print its line, its screen, its exit code and its time."""
    name, *arguments = words = line.split()
    first_option = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    umbrella = [] if name.startswith("deploy-") else ["aoai-gateway"]
    typed = " ".join([*umbrella, *words[:first_option], "dev", *words[first_option:]])
    started = time.monotonic()
    process = made.commands.start(
        name.removeprefix("deploy-"), *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text, _ = process.communicate(timeout=300)
    took = time.monotonic() - started
    text = re.sub(r"id=[0-9a-f-]{36}", "id=…", text.replace(str(made.root), "…"))
    # The replacement is as long as the original, so that tables stay straight.
    text = re.sub(r"127\.0\.0\.1:\d+", lambda found: f"{'gateway.test':·<{len(found[0])}}", text)
    sys.stdout.write(f"$ uv run {typed}\n{text.rstrip()}\n[exit code {process.returncode}, {took:.1f} s]\n\n")


def main() -> None:
    """Deploy an installation, look at it, destroy it."""
    with tempfile.TemporaryDirectory() as name, installation(Path(name)) as made:
        made.commands.environment["COLUMNS"] = "110"
        made.settings(app_settings=SETTINGS, secrets=KEY).chmod(0o600)
        for line in (
            "doctor",
            "deploy-platform --yes",
            "deploy-bootstrap --yes",
            "deploy-observability --plan",
            "deploy-observability --yes",
            "deploy-platform --yes",
            "deploy-foundry --yes",
            "deploy-workload --yes",
        ):
            show(made, line)
        made.az.answer("acr repository show", {"digest": "sha256:0"})
        show(made, "deploy-workload --plan")
        made.settings(app_settings=SETTINGS, secrets=ROTATED)
        show(made, "deploy-workload --yes")
        made.settings(app_settings=MISTAKES, secrets=KEY)
        show(made, "deploy-workload --yes")
        made.settings(app_settings=SETTINGS, secrets=ROTATED)
        for line in ("status", "status -o dotenv", "destroy workload --plan", "destroy all --yes"):
            show(made, line)
        # In Azure the storage of the states is gone by now.
        shutil.rmtree(made.root / "state")
        for line in ("deploy up --plan", "deploy up --yes"):
            show(made, line)
        # `doctor` with stacks in Azure, for a login that may not assign roles.
        made.move_to_azure()
        with running_azure(made.certificate, SUBSCRIPTION) as azure:
            made.az.answer("cloud show", azure.url)
            azure.assign(CONTRIBUTOR)
            show(made, "doctor")


if __name__ == "__main__":
    main()
