"""Where the settings of a stack may be written, and what is an error there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.example import example_of, write_new
from scripts.deploy.layout import STACKS, Layout
from scripts.deploy.session import Session
from scripts.deploy.settings_files import COMMON
from scripts.deploy.tfvars import read_tfvars
from tests.deploy.commands import Installation
from tests.deploy.support import SUBSCRIPTION, write_earlier, write_settings, write_tfvars
from tests.infra.schema import TERRAFORM

FOUNDRY, PLATFORM, WORKLOAD = STACKS["foundry"], STACKS["platform"], STACKS["workload"]
ALL = {"subscription_id": SUBSCRIPTION, "name": "aigw"}


def problems_of(session: Session, stack: str) -> list[str]:
    with pytest.raises(InvalidSettingsError) as caught:
        session.settings.read(STACKS[stack])
    return caught.value.details


def test_a_stack_gets_the_common_settings_and_its_section(session: Session, layout: Layout) -> None:
    write_tfvars(layout, "platform", vault="https://kv.example.com/")
    assert session.settings.read(PLATFORM) == {
        **ALL,
        "environment": "dev",
        "vault": "https://kv.example.com/",
    }


def test_the_gateway_gets_what_is_in_no_section(session: Session, layout: Layout) -> None:
    write_tfvars(layout, "workload", max_replicas=3)
    assert session.settings.read(WORKLOAD) == {**ALL, "environment": "dev", "max_replicas": 3}


def test_the_file_may_be_beside_the_stack_of_the_gateway(session: Session, layout: Layout) -> None:
    layout.settings.rename(layout.settings_of_gateway)
    assert session.settings.read(PLATFORM)["name"] == "aigw"


def test_the_earlier_form_is_read(session: Session, layout: Layout) -> None:
    layout.settings.unlink()
    write_earlier(layout, "platform", vault="https://kv.example.com/")
    assert session.settings.read(PLATFORM)["vault"] == "https://kv.example.com/"


def test_a_command_says_that_the_earlier_form_is_earlier(made: Installation) -> None:
    made.layout.settings.unlink()
    write_earlier(made.layout, "bootstrap")
    said = made.commands.run("bootstrap", "--plan").stderr
    assert said.startswith("! 00-bootstrap/terraform.tfvars.dev can still be read, but one file is enough")
    assert str(made.layout.settings) in said


def test_what_two_files_say_is_an_error(session: Session, layout: Layout) -> None:
    own = write_earlier(layout, "platform", vault="x")
    write_tfvars(layout, "platform", vault="y")
    found = problems_of(session, "platform")
    assert found[-1] == f"vault: platform.vault in {layout.settings} and {own}"
    assert {line.split(":")[0] for line in found} == {"subscription_id", "name", "vault"}


def test_what_makes_the_installation_one_has_no_place_in_a_section(session: Session, layout: Layout) -> None:
    write_tfvars(layout, "platform", name="other")
    assert problems_of(session, "platform") == [
        f"name: {layout.settings} and platform.name in {layout.settings}"
    ]


def test_a_section_may_be_elsewhere(session: Session, layout: Layout) -> None:
    main = layout.directory(PLATFORM) / "main.tf"
    main.write_text(main.read_text() + 'variable "location" { type = string }\n')
    write_tfvars(layout, "platform", location="westeurope")
    write_tfvars(layout, "workload", location="swedencentral")
    assert session.settings.read(PLATFORM)["location"] == "westeurope"


@pytest.mark.parametrize(
    ("stack", "values", "complaint"),
    [
        ("workload", {"fondry": {}}, "fondry is not a setting of this stack. Did you mean foundry?"),
        ("workload", {"vault": "x"}, "vault belongs into a section: platform = { vault = … }."),
        ("platform", {"vaullt": "x"}, "platform.vaullt is not a setting of this stack. Did you mean vault?"),
    ],
)
def test_a_name_in_the_wrong_place_is_told(
    session: Session, layout: Layout, stack: str, values: dict[str, Any], complaint: str
) -> None:
    write_tfvars(layout, stack, **values)
    assert problems_of(session, "platform") == [complaint]


def test_a_section_is_a_map(session: Session, layout: Layout) -> None:
    write_settings(layout.settings, {**ALL, "platform": "Basic"})
    assert problems_of(session, "bootstrap") == ["platform must be a map: platform = { … }."]


def test_a_missing_setting_is_named_with_its_section(session: Session) -> None:
    declared = session.settings.declared(PLATFORM)
    with pytest.raises(InvalidSettingsError) as caught:
        session.settings.check_complete(STACKS["bootstrap"], declared, ALL, {"environment": "dev"})
    assert caught.value.details == ["bootstrap.log_analytics_workspace_id is missing."]


def test_the_common_settings_are_those_that_all_stacks_declare() -> None:
    text = (TERRAFORM / "common" / "variables.common.tf").read_text()
    declared = [line.split('"')[1] for line in text.splitlines() if line.startswith("variable ")]
    assert set(COMMON) == set(declared)


class TestInit:
    """`deploy init`."""

    def test_it_makes_a_file_that_only_its_owner_can_read(self, made: Installation) -> None:
        path = made.layout.settings
        path.unlink()
        result = made.commands.run("deploy", "init")
        assert result.returncode == 0, result.stderr
        assert (path.stat().st_mode & 0o777, read_tfvars(path)["subscription_id"]) == (0o600, SUBSCRIPTION)
        key = read_tfvars(path)["secrets"]["GATEWAY_CLIENT_KEY_0"]
        assert (len(key), key in result.stdout + result.stderr) == (48, False)

    def test_it_never_writes_over_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "dev.tfvars"
        path.write_text("mine")
        with pytest.raises(InvalidSettingsError, match="is there already"):
            write_new(path, "theirs")
        assert path.read_text() == "mine"

    @pytest.mark.parametrize("environment", ["stg", "prod"])
    def test_the_differences_of_an_environment_are_in_its_file(
        self, environment: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "made.tfvars"
        path.write_text(example_of(environment, None))
        differences = read_tfvars(TERRAFORM / "environments" / f"{environment}.tfvars.example")
        assert list(_missing(differences, read_tfvars(path))) == []

    def test_an_environment_without_an_example_of_its_own_begins_as_dev_does(self) -> None:
        dev, other = (example_of(name, None).splitlines()[1:] for name in ("dev", "qa"))
        different = [line.split()[0] for line, same in zip(dev, other, strict=True) if line != same]
        assert different == ["GATEWAY_CLIENT_KEY_0"]


def _missing(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """What `given` has not, or not as in `wanted`; random texts must be filled in."""
    found = []
    for name, value in wanted.items():
        if isinstance(value, Mapping):
            found += [f"{name}.{inner}" for inner in _missing(value, given.get(name, {}))]
        elif value == "<random>":
            found += [name] if len(given.get(name, "")) != 48 else []
        elif given.get(name) != value:
            found.append(name)
    return found
