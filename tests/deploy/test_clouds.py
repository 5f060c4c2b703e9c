"""The stacks work only in Azure's public cloud: another login or backend is refused before any change."""

from __future__ import annotations

import json

import pytest

from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.workload_settings import WorkloadSettings
from tests.deploy.arm_server import AzureStandIn
from tests.deploy.commands import CLIENT_KEY, Installation
from tests.deploy.support import write_tfvars

GOVERNMENT = {
    "user": {"name": "alice@example.us", "type": "user"},
    "environmentName": "AzureUSGovernment",
    "id": "s",
    "name": "n",
    "tenantId": "t",
}


@pytest.mark.usefixtures("azure")
@pytest.mark.parametrize(
    "command",
    [
        "bootstrap",
        "workload",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("observability", "platform", "foundry")),
    ],
)
def test_a_login_of_another_cloud_stops_every_deployment(made: Installation, command: str) -> None:
    made.az.answer("account show", GOVERNMENT)
    result = made.commands.run(command, "--yes")
    assert result.returncode == 4, result.stderr
    assert result.stderr.splitlines()[-2:] == [
        "✗ The login belongs to AzureUSGovernment; these stacks work only in Azure's public cloud.",
        "→ Run `az cloud set --name AzureCloud` and `az login`.",
    ]


def test_doctor_sees_a_login_of_another_cloud(azure: AzureStandIn, made: Installation) -> None:
    made.az.answer("account show", GOVERNMENT)
    result = made.commands.run("doctor", "-o", "json")
    (login,) = [item for item in json.loads(result.stdout)["checks"] if item["check"] == "Azure login"]
    assert (login["verdict"], "AzureUSGovernment" in login["found"]) == ("bad", True)


@pytest.mark.usefixtures("azure")
def test_without_a_login_a_deployment_says_so(made: Installation) -> None:
    made.az.answer("account show", error="ERROR: Please run 'az login' to setup account.")
    result = made.commands.run("bootstrap", "--yes")
    assert (result.returncode, "→ Run `az login`." in result.stderr) == (4, True)


def settings(made: Installation, **backend: str) -> WorkloadSettings:
    """The workload's settings with one backend."""
    fields = {f"AZURE_OPENAI_{name}_0": value for name, value in backend.items() if name != "KEY"}
    secrets = {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY}
    if "KEY" in backend:
        secrets["AZURE_OPENAI_KEY_0"] = backend["KEY"]
    client = {"GATEWAY_CLIENT_NAME_0": "team-a"}
    path = write_tfvars(made.layout, "workload")
    return WorkloadSettings.read(path, {"app_settings": {**client, **fields}, "secrets": secrets})


@pytest.mark.parametrize("domain", ["us", "cn"])
def test_h3_the_gateways_identity_is_not_for_a_backend_of_another_cloud(
    made: Installation, domain: str
) -> None:
    abroad = settings(made, ENDPOINT=f"https://mine.openai.azure.{domain}", AUTH="managed-identity")
    with pytest.raises(InvalidSettingsError, match="AZURE_OPENAI_AUTH_0 cannot be managed-identity"):
        abroad.check_early()


def test_a_backend_of_another_cloud_may_have_a_key(made: Installation) -> None:
    settings(made, ENDPOINT="https://mine.openai.azure.us", KEY="a-key-of-that-resource").check_early()


def test_the_identity_is_for_a_backend_of_the_public_cloud(made: Installation) -> None:
    settings(made, ENDPOINT="https://mine.openai.azure.com", AUTH="managed-identity").check_early()
