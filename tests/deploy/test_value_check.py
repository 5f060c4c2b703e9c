"""Values that Terraform would refuse are found before anything is deployed or written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.example import example_of, write_new
from scripts.deploy.layout import REPOSITORY, STACKS, Layout, Stack
from scripts.deploy.session import Session
from scripts.deploy.value_check import check_values
from tests.deploy.support import SUBSCRIPTION, make_session

WORKLOAD = STACKS["workload"]


@pytest.fixture
def session(tmp_path: Path, terraform_binary: str, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session with a copy of the repository's own stacks, and the settings of the example."""
    monkeypatch.setenv("TERRAFORM_BINARY", terraform_binary)
    shutil.copytree(REPOSITORY / "infra" / "terraform", tmp_path / "terraform")
    layout = Layout("dev", tmp_path / "terraform" / "stacks", tmp_path / "working")
    write_new(layout.settings, example_of("dev", SUBSCRIPTION))
    return make_session(layout)


def example(session: Session, stack: Stack, **changes: Any) -> dict[str, Any]:
    """The settings of the example with changes."""
    return {**session.settings.read(stack), **changes}


def complaints(session: Session, stack: Stack, **changes: Any) -> list[str]:
    with pytest.raises(InvalidSettingsError) as caught:
        check_values(session, stack, example(session, stack, **changes))
    return sorted(caught.value.details)


@pytest.mark.parametrize("stack", STACKS.values(), ids=lambda stack: stack.name)
def test_the_values_of_an_example_are_accepted(session: Session, stack: Stack) -> None:
    check_values(session, stack, example(session, stack))


def test_all_bad_values_are_reported_at_once(session: Session) -> None:
    found = complaints(session, WORKLOAD, scale_concurrent_requests="many", gateway_cpu=0.3)
    assert found == [
        "gateway_cpu must be a multiple of 0.25.",
        "scale_concurrent_requests: a number is required.",
    ]


def test_a_text_is_no_number(session: Session) -> None:
    assert "min_replicas: a number is required." in complaints(session, WORKLOAD, min_replicas="zero")


def test_a_wrong_attribute_is_named(session: Session) -> None:
    deployments = {"d": {"model": "m", "version": "1", "capacity": "ten"}}
    accounts = {"a": {"location": "swedencentral", "deployments": deployments}}
    found = complaints(session, STACKS["foundry"], accounts=accounts)
    assert found == ["accounts.a.deployments.d.capacity: a number is required."]


def test_all_wrong_attributes_are_named(session: Session) -> None:
    deployments = {"d": {"model": ["m"], "version": 1, "capacity": "10"}}
    accounts = {
        "a": {"location": "swedencentral", "priority": "high", "deployments": deployments},
        "b": {"deployments": {}},
        "c": "swedencentral",
    }
    assert complaints(session, STACKS["foundry"], accounts=accounts) == [
        "accounts.a.deployments.d.model: a text is required.",
        "accounts.a.priority: a number is required.",
        "accounts.b.location is missing.",
        "accounts.c: attributes are required: accounts.c = { … }.",
    ]


def test_what_the_command_computes_is_not_complained_about(session: Session) -> None:
    found = complaints(session, WORKLOAD, gateway_cpu=0.3)
    assert found == ["gateway_cpu must be a multiple of 0.25."]


def test_a_condition_across_two_settings_is_checked(session: Session) -> None:
    (found,) = complaints(session, WORKLOAD, redis_enabled=True)
    assert found.startswith("redis_enabled needs REDIS_PASSWORD in secrets")


def test_private_accounts_need_a_network(session: Session) -> None:
    (found,) = complaints(session, STACKS["foundry"], private_endpoints_enabled=True)
    assert found.startswith("private_endpoints_enabled needs a virtual network")


def test_private_accounts_are_accepted_before_their_network_exists(session: Session) -> None:
    path = session.layout.settings
    text = path.read_text().replace(
        "network_address_space   = null", 'network_address_space = "10.20.0.0/22"'
    )
    path.write_text(text)
    check_values(
        session, STACKS["foundry"], example(session, STACKS["foundry"], private_endpoints_enabled=True)
    )
