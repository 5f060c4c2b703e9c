"""Fixtures of the deploy tooling's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.deploy.bootstrap import deploy_bootstrap
from scripts.deploy.deployment import Mode, deploy
from scripts.deploy.layout import STACKS, Layout
from scripts.deploy.session import Session
from tests.deploy.arm_server import AzureStandIn, running_azure
from tests.deploy.commands import Installation, installation
from tests.deploy.support import (
    SUBSCRIPTION,
    FakeAz,
    FakeTime,
    copy_readers,
    make_session,
    make_stacks,
)
from tests.support.key_vault import lowkey_vault

__all__ = ["lowkey_vault"]


@pytest.fixture(scope="session")
def terraform_binary() -> str:
    """The program in `TERRAFORM_BINARY`; else Terraform, or OpenTofu where only that is installed."""
    for name in filter(None, (os.environ.get("TERRAFORM_BINARY"), "terraform", "tofu")):
        if shutil.which(name):
            return name
    pytest.skip("neither terraform nor tofu is installed")


@pytest.fixture
def layout(tmp_path: Path, terraform_binary: str, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Stacks of built-in resources, with their states beside them."""
    monkeypatch.setenv("TERRAFORM_BINARY", terraform_binary)
    monkeypatch.setenv("GATEWAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", os.devnull)
    return make_stacks(tmp_path)


@pytest.fixture(scope="session")
def deployed_once(tmp_path_factory: pytest.TempPathFactory, terraform_binary: str) -> Path:
    """A directory with bootstrap, observability and platform deployed: most tests start from its states."""
    root = tmp_path_factory.mktemp("deployed")
    layout = make_stacks(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRAFORM_BINARY", terraform_binary)
        patch.setenv("GATEWAY_STATE_DIR", str(root / "state"))
        patch.setenv("TF_CLI_CONFIG_FILE", os.devnull)
        session = make_session(layout)
        deploy_bootstrap(session, Mode.YES)
        for name in ("observability", "platform"):
            deploy(session, STACKS[name], Mode.YES)
        for name in ("platform", "foundry"):
            session.outputs(STACKS[name])
    return root


@pytest.fixture
def deployed(layout: Layout, deployed_once: Path, tmp_path: Path) -> Layout:
    """As `layout`, with bootstrap, observability and platform deployed, and their states read before."""
    shutil.copytree(deployed_once / "state", tmp_path / "state")
    copy_readers(deployed_once, tmp_path, "bootstrap", "observability", "platform", "foundry")
    return layout


@pytest.fixture
def az(tmp_path: Path) -> FakeAz:
    """A stand-in for the Azure CLI."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return FakeAz.install(directory)


@pytest.fixture
def time() -> FakeTime:
    """A clock that only waiting moves."""
    return FakeTime()


@pytest.fixture
def session(layout: Layout, az: FakeAz, time: FakeTime) -> Session:
    """A session over the small stacks."""
    return make_session(layout, az.cli, time)


@pytest.fixture
def made(
    tmp_path: Path, terraform_binary: str, deployed_once: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """Everything that the commands need when they run as processes; nothing is deployed yet."""
    monkeypatch.setenv("TERRAFORM_BINARY", terraform_binary)
    monkeypatch.setenv("GATEWAY_STATE_DIR", str(tmp_path / "state"))
    with installation(tmp_path, deployed_once / "state") as made:
        yield made


@pytest.fixture
def azure(made: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureStandIn]:
    """As `made`, for stacks in Azure, with a stand-in for the Resource Manager."""
    made.move_to_azure()
    monkeypatch.setenv("PATH", made.az.path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.certificate.pem))
    with running_azure(made.certificate, SUBSCRIPTION) as azure:
        made.az.answer("cloud show", azure.url)
        yield azure
