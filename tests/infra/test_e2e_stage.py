"""The end-to-end stage of the workload stack is the one that the command, the tests and their clients expect.

Terraform itself evaluates what the stack says of the stage. It needs no provider for that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.load.plan import CLIENTS
from e2e.simulator.serve_plan import Options, plan
from e2e.targets.simulators import BACKENDS, QUOTAS
from renderer import load_settings, render_files
from renderer.names import secret_of
from renderer.test_routes import POOLS, pools_of
from scripts.deploy import simulated_stage
from scripts.deploy.declarations import read_declarations
from scripts.deploy.images import RENDERER, SIMULATOR
from scripts.deploy.layout import STACKS
from tests.infra.schema import TERRAFORM, parse

BINARY = os.environ.get("TERRAFORM_BINARY") or shutil.which("terraform") or shutil.which("tofu")
STACK = TERRAFORM / "stacks" / STACKS["workload"].directory
DOMAIN = "env.example.com"
VERSIONS = {secret_of(name): f"version-of-{name}" for name in simulated_stage.made_secrets()}

pytestmark = pytest.mark.skipif(BINARY is None, reason="neither terraform nor tofu is installed")


class Stage:
    """The stack without its resources: variables, what it derives from them, and its outputs."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "stacks" / "workload"
        self.directory.mkdir(parents=True)
        shutil.copytree(TERRAFORM / "modules" / "naming", root / "modules" / "naming")
        for name in ("variables.common.tf", "variables.tf", "naming.tf", "e2e.tf"):
            shutil.copy(STACK / name, self.directory)
        (self.directory / "outputs.tf").write_text(
            "".join(
                f'output "{name}" {{ value = local.{name} }}\n'
                for name in (
                    *("e2e_settings", "e2e_secrets", "e2e_deployments", "e2e_client_secrets"),
                    *("simulator_names", "simulator_urls"),
                )
            )
        )
        self._terraform("init", "-input=false")

    def outputs(self, **variables: Any) -> dict[str, Any]:
        """What the stack derives. Raises `AssertionError` with what Terraform says when it refuses."""
        required = dict.fromkeys(read_declarations(STACK).required, "given")
        values = {
            **required,
            "subscription_id": "00000000-0000-0000-0000-00000000000a",
            "name": "aigw",
            "environment": "dev",
            "location": "swedencentral",
            "key_vault_uri": "https://kv.vault.azure.net/",
            "environment_default_domain": DOMAIN,
            "secret_versions": {},
            "max_replicas": 1,
            "simulator_image": "simulator",
            "e2e_secret_versions": VERSIONS,
            **variables,
        }
        (self.directory / "values.tfvars.json").write_text(json.dumps(values))
        self._terraform("apply", "-auto-approve", "-input=false", "-var-file=values.tfvars.json")
        found = json.loads(self._terraform("output", "-json"))
        return {name: output["value"] for name, output in found.items()}

    def refusal(self, **variables: Any) -> str:
        """What Terraform says when it refuses these variables."""
        with pytest.raises(AssertionError) as caught:
            self.outputs(**variables)
        return " ".join(re.sub(r"[│╷╵]", " ", str(caught.value)).split())

    def _terraform(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(BINARY), *arguments, *([] if arguments[0] == "output" else ["-no-color"])],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def made(stage: Stage) -> dict[str, Any]:
    """What the stack derives with the usual settings."""
    return stage.outputs(deploy_e2e=True)


@pytest.mark.parametrize("external", [True, False])
def test_the_command_checks_the_settings_that_the_stack_makes(stage: Stage, external: bool) -> None:
    made = stage.outputs(deploy_e2e=True, ingress_external=external)
    values = {"name": "aigw", "environment": "dev", "ingress_external": external}
    assert made["e2e_settings"] == simulated_stage.stage_settings(values, DOMAIN)


def test_the_gateway_reads_the_keys_that_the_command_makes(made: dict[str, Any]) -> None:
    assert made["e2e_secrets"] == {
        variable: {"name": secret_of(name), "version": VERSIONS[secret_of(name)]}
        for variable, name in simulated_stage.stage_secrets().items()
    }


def test_clients_find_their_keys(made: dict[str, Any]) -> None:
    assert made["e2e_client_secrets"] == {
        name: secret_of(simulated_stage.client_key(name)) for name in CLIENTS
    }


def test_every_backend_of_the_test_routes_is_simulated(made: dict[str, Any]) -> None:
    assert set(made["simulator_urls"]) == set(BACKENDS) == {m.name for pool in POOLS for m in pool.members}


def test_the_gateway_of_the_stage_has_every_test_route_and_the_config_api(made: dict[str, Any]) -> None:
    keys = {variable: f"stand-in-for-{variable}" for variable in made["e2e_secrets"]}
    settings = load_settings({}, env_file={**made["e2e_settings"], **keys})
    routes = {route["uri"] for route in yaml.safe_load(render_files(settings)["apisix.yaml"])["routes"]}
    assert pools_of(settings) == POOLS
    assert "/helpers/set-preferred-backends" in routes


def test_simulators_serve_the_deployments_of_the_scenarios(made: dict[str, Any]) -> None:
    options = Options(regions=["r:0"], deployments=made["e2e_deployments"], values={"key": "k"})
    (region,) = plan(options).regions
    assert {deployment.name: deployment.quota for deployment in region.deployments or ()} == QUOTAS  # type: ignore[union-attr]


def test_the_config_api_runs_in_an_image_that_has_it() -> None:
    text = (STACK / "e2e_apps.tf").read_text()
    assert 'image      = var.simulator_image\n    command    = ["python", "-m", "e2e.config_api", ' in text
    assert "e2e/config_api" in SIMULATOR.sources
    assert set(RENDERER.sources) <= set(SIMULATOR.sources)


def test_names_of_apps_are_no_longer_than_azure_allows(stage: Stage) -> None:
    names = stage.outputs(deploy_e2e=True, name="abcdefgh", environment="abcdef")["simulator_names"]
    assert [name for name in names.values() if len(name) > 32] == []


def test_without_the_stage_there_is_nothing_of_it(stage: Stage) -> None:
    made = stage.outputs(deploy_e2e=False)
    assert [name for name, value in made.items() if value and name != "e2e_deployments"] == []


def test_replicas_that_share_nothing_are_refused(stage: Stage) -> None:
    assert "set redis_enabled = true" in stage.refusal(deploy_e2e=True, max_replicas=2)


@pytest.mark.parametrize(
    "shared",
    [
        {"redis_enabled": True, "secret_versions": {"REDIS_PASSWORD": "v1"}},
        {"app_settings": {"REDIS_HOST": "redis.example.com"}},
    ],
    ids=["redis of the stack", "redis of the user"],
)
def test_replicas_that_share_a_redis_are_accepted(stage: Stage, shared: dict[str, Any]) -> None:
    assert stage.outputs(deploy_e2e=True, max_replicas=2, **shared)["simulator_urls"]


def test_the_command_takes_the_stacks_default_for_replicas() -> None:
    (variable,) = (
        block["max_replicas"]
        for block in parse(STACK / "variables.tf")["variable"]
        if "max_replicas" in block
    )
    assert variable["default"] == simulated_stage.DEFAULT_MAX_REPLICAS


@pytest.mark.parametrize("name", sorted(VERSIONS))
def test_the_stage_without_one_of_its_keys_is_refused(stage: Stage, name: str) -> None:
    others = {other: version for other, version in VERSIONS.items() if other != name}
    refusal = stage.refusal(deploy_e2e=True, e2e_secret_versions=others)
    assert "needs the version of every key" in refusal


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("GATEWAY_CLIENT_NAME_0", "remove GATEWAY_CLIENT_NAME_<N>"),
        ("AZURE_OPENAI_ENDPOINT_2", "remove AZURE_OPENAI_ENDPOINT_<N>"),
    ],
)
def test_the_users_own_backends_and_clients_are_refused(stage: Stage, setting: str, told: str) -> None:
    assert told in stage.refusal(deploy_e2e=True, app_settings={setting: "x"})
