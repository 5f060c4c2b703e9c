"""The examples pass the checks of their stacks once the placeholders are filled in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.deploy.declarations import read_declarations
from scripts.deploy.example import example_of, write_new
from scripts.deploy.layout import STACKS, Layout, Stack
from scripts.deploy.model_quota import wanted_by_location
from scripts.deploy.settings_files import SettingsFiles
from tests.infra.schema import TERRAFORM

BINARY = os.environ.get("TERRAFORM_BINARY") or shutil.which("terraform") or shutil.which("tofu")
GUID = "00000000-0000-0000-0000-00000000000a"
# The first are values that the user adds, the second come from the deploy command and earlier stacks.
ADDED = {"alert_emails": {"oncall": "oncall@example.com"}}
PROVIDED = {
    "key_vault_uri": "https://kv.vault.azure.net/",
    "secret_versions": {"GATEWAY_CLIENT_KEY_0": "v1", "REDIS_PASSWORD": "v1"},
}

pytestmark = pytest.mark.skipif(BINARY is None, reason="neither terraform nor tofu is installed")


def settings_of(stack: Stack, environment: str, root: Path) -> dict[str, Any]:
    """What the example of an environment says of a stack."""
    layout = Layout(environment, root / "stacks", root)
    write_new(layout.settings, example_of(environment, GUID))
    values: dict[str, Any] = {"environment": environment}
    for part in SettingsFiles(layout).parts(stack):
        values |= part.values
    return values


@pytest.mark.parametrize("environment", ["dev", "stg", "prod"])
@pytest.mark.parametrize("stack", STACKS.values(), ids=lambda stack: stack.name)
def test_the_example_passes_the_checks_of_its_stack(stack: Stack, environment: str, tmp_path: Path) -> None:
    directory = TERRAFORM / "stacks" / stack.directory
    for path in directory.glob("variables*.tf"):
        shutil.copy(path, tmp_path)
    values = settings_of(stack, environment, tmp_path)
    values.pop("secrets", None)
    declared = read_declarations(directory)
    provided = {name: PROVIDED.get(name, "given") for name in declared.required - set(values)}
    added = {name: value for name, value in ADDED.items() if name in values}
    variables = values | provided | added
    (tmp_path / "values.tfvars.json").write_text(json.dumps(variables))
    result = subprocess.run(
        [str(BINARY), "plan", "-input=false", "-no-color", "-var-file=values.tfvars.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("environment", ["dev", "stg", "prod"])
def test_every_region_of_the_example_offers_its_models(environment: str, tmp_path: Path) -> None:
    """By a table that Microsoft publishes: see its source and date."""
    offered = json.loads((Path(__file__).parent / "data" / "model-availability.json").read_text())["models"]
    accounts = settings_of(STACKS["foundry"], environment, tmp_path)["accounts"]
    assert [
        (region, item)
        for region, wanted in wanted_by_location(accounts).items()
        for item in wanted
        if region not in offered[f"{item.model} {item.version}"].get(item.sku, [])
    ] == []
