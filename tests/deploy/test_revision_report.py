"""A revision that does not run shows why: its state, what its containers printed, and where there is more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.deploy.deploy_errors import DeployError, InterruptedDeploymentError
from scripts.deploy.revision_report import App, with_report
from tests.deploy.commands import RUNNING
from tests.deploy.support import FakeAz
from tests.support.certificates import make_certificate
from tests.support.loopback_server import LoopbackServer, Reply, Request

APP = App("rg", "ca-aigw-dev", "/subscriptions/s/workspaces/log")
FAILED = {
    "name": "ca--2",
    "properties": {"runningState": "Failed", "provisioningError": "Container crashing"},
}
TERRAFORM = DeployError(
    "Terraform could not apply the workload stack.",
    details=["module.gateway.azurerm_container_app.gateway: creating Container App: Operation expired"],
)
PRINTED = ["GATEWAY_CLIENT_KEY_0: is shorter than 16 characters", "1 problem"]


@pytest.fixture
def logs(az: FakeAz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Request]]:
    """The requests for logs; Azure has a failed revision whose init container has ended."""
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return 200, "\n".join(PRINTED).encode(), {}

    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.pem))
    with LoopbackServer(answer, certificate) as server:
        ended = {
            "name": "config-renderer",
            "runningState": "Terminated",
            "runningStateDetails": "exit code 2",
        }
        waiting = {"name": "gateway", "runningState": "Waiting"}
        replica = {
            "initContainers": [{**ended, "logStreamEndpoint": f"{server.url}/init"}],
            "containers": [waiting, {"name": "otel-collector", "runningState": "Running"}],
        }
        az.answer("containerapp show", "ca--2")
        az.answer("containerapp revision show", FAILED)
        az.answer("containerapp replica list", [{"properties": replica}])
        az.answer("rest --method post", {"properties": {"token": "canary-token"}})
        yield asked


@pytest.mark.usefixtures("logs")
def test_what_terraform_does_not_say_is_added(az: FakeAz) -> None:
    error = with_report(az.cli, APP, TERRAFORM)
    assert error.message == TERRAFORM.message
    assert error.details == [
        *TERRAFORM.details,
        "Revision ca--2 does not run: Failed.",
        "Container crashing",
        "config-renderer: Terminated, exit code 2",
        *(f"  {line}" for line in PRINTED),
        "gateway: Waiting",
    ]


@pytest.mark.usefixtures("logs")
def test_command_and_query_for_more_are_ready_to_type(az: FakeAz) -> None:
    remedy = with_report(az.cli, APP, TERRAFORM).remedy
    assert "az containerapp logs show -g rg -n ca-aigw-dev --type system." in remedy
    assert (
        "\"ContainerAppConsoleLogs | where RevisionName == 'ca--2' | project ContainerName, Log\"" in remedy
    )
    assert "--ids /subscriptions/s/workspaces/log " in remedy


def test_the_token_of_the_logs_goes_only_there(az: FakeAz, logs: list[Request]) -> None:
    error = with_report(az.cli, APP, TERRAFORM)
    assert [(request.path, request.token) for request in logs] == [("/init", "canary-token")]
    assert "canary-token" not in str(error)
    assert not [call for call in az.calls if "canary-token" in " ".join(call)]


@pytest.mark.usefixtures("logs")
def test_a_revision_without_replicas_still_shows_its_state(az: FakeAz) -> None:
    az.answer("containerapp replica list", [])
    error = with_report(az.cli, APP, TERRAFORM)
    assert error.details[-2:] == ["Container crashing", "Azure shows no container of it (any more)."]


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    "error",
    [
        DeployError(
            "Terraform could not apply the workload stack.", details=["azurerm_resource_group: denied"]
        ),
        InterruptedDeploymentError("Stopped.", details=TERRAFORM.details),
    ],
    ids=["another resource", "an interrupt"],
)
def test_another_failure_stays_as_it_is(az: FakeAz, error: DeployError) -> None:
    assert with_report(az.cli, APP, error) is error


def test_a_failure_with_a_revision_that_runs_stays_as_it_is(az: FakeAz) -> None:
    az.answer("containerapp show", "ca--1")
    az.answer("containerapp revision show", RUNNING)
    assert with_report(az.cli, APP, TERRAFORM) is TERRAFORM


def test_a_failure_before_there_is_an_app_stays_as_it_is(az: FakeAz) -> None:
    az.answer("containerapp show", error="ERROR: The containerapp 'ca-aigw-dev' does not exist")
    assert with_report(az.cli, APP, TERRAFORM) is TERRAFORM
