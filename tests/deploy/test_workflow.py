"""The example of a deployment from GitHub: whole, pinned, with no more rights than it needs."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.deploy.layout import REPOSITORY, STACKS

FILE = REPOSITORY / ".github" / "workflows" / "deploy.yml.example"
BEFORE, WORKLOAD = "The stacks before the workload", "The workload"


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


@pytest.fixture(scope="module")
def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow["jobs"]["deploy"]["steps"]
    return found


def script(steps: list[dict[str, Any]], name: str) -> str:
    (step,) = (step for step in steps if step.get("name") == name)
    return str(step["run"])


def test_every_action_is_pinned_to_a_commit(steps: list[dict[str, Any]]) -> None:
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []


def test_the_job_may_read_the_sources_and_ask_for_a_token(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["deploy"]["permissions"] == {"contents": "read", "id-token": "write"}


def test_no_script_holds_an_expression(steps: list[dict[str, Any]]) -> None:
    """GitHub would paste the value into the script, and it may be a secret or an input of the caller."""
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def test_no_credential_is_stored() -> None:
    assert set(re.findall(r"secrets\.(\w+)", FILE.read_text())) == {"TFVARS"}


def test_the_login_is_fresh_when_key_vault_is_asked(steps: list[dict[str, Any]]) -> None:
    """The first login gives new tokens only for some minutes."""
    names = [step.get("name") for step in steps]
    assert names.index("Log in to Azure again") == names.index(WORKLOAD) - 1


def test_what_doctor_finds_hides_no_plan(steps: list[dict[str, Any]]) -> None:
    (doctor,) = (step for step in steps if step.get("name") == "Doctor")
    assert doctor["continue-on-error"] == "${{ inputs.plan_only }}"


def test_the_roles_it_may_assign_are_those_that_the_stacks_assign() -> None:
    text = "\n".join(path.read_text() for path in (REPOSITORY / "infra" / "terraform").rglob("*.tf"))
    assigned = re.findall(r'(?:role_definition_name\s*=|\brole\s*=)\s*"([^"]+)"', text)
    comment = re.sub(r"\n# ?", " ", FILE.read_text())
    named = re.search(r"In this order: ([^.]+)\.", comment)
    condition = re.search(r"roles='([^']+)'", comment)
    assert named is not None
    assert condition is not None
    names, ids = re.split(r",\s+", named[1]), re.split(r",\s+", condition[1])
    assert sorted(names) == sorted(set(assigned))
    assert len(set(ids)) == len(names)


def run(script: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=directory,
        env={"PATH": f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}", "GATEWAY_ENVIRONMENT": "dev"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "infra" / "terraform" / "environments").mkdir(parents=True)
    return tmp_path


def settings(checkout: Path) -> Path:
    return checkout / "infra" / "terraform" / "environments" / "dev.tfvars"


def write_settings(steps: list[dict[str, Any]], checkout: Path, text: str) -> None:
    assert run(script(steps, "Write the settings"), checkout, TFVARS=text).returncode == 0


def test_settings_are_written_as_they_are_and_for_the_job_alone(
    steps: list[dict[str, Any]], checkout: Path
) -> None:
    text = 'name = "aigw"\nx = "$HOME \\"quoted\\""'
    write_settings(steps, checkout, text)
    assert settings(checkout).read_text() == f"{text}\n"
    assert stat.S_IMODE(settings(checkout).stat().st_mode) == 0o600


def uv(checkout: Path, code: int = 0, at: str = "") -> Path:
    """A stand-in for uv; returns the file with the commands that it was asked to run."""
    log = checkout / "log"
    program = checkout / "bin" / "uv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$3 $4" >> {log}\n[ "$3" != "{at}" ] || exit {code}\n')
    program.chmod(0o755)
    return log


@pytest.mark.parametrize(("text", "count"), [("foundry = {}", 4), ("", 3)])
def test_a_stack_without_settings_is_left_out(
    steps: list[dict[str, Any]], checkout: Path, text: str, count: int
) -> None:
    write_settings(steps, checkout, text)
    log = uv(checkout)
    assert run(script(steps, BEFORE), checkout, MODE="--yes").returncode == 0
    assert log.read_text().split("\n")[:-1] == [f"deploy-{name} --yes" for name in list(STACKS)[:count]]


@pytest.mark.parametrize(
    ("mode", "code", "ended", "asked", "ends"),
    [
        ("--plan", 10, 0, 4, ""),  # changes
        ("--plan", 4, 0, 3, "ends=here\n"),  # the next stack needs one that is not there
        ("--plan", 2, 2, 3, ""),
        ("--yes", 4, 4, 3, ""),
    ],
)
def test_a_plan_goes_on_over_changes_and_stops_at_failures(
    steps: list[dict[str, Any]], checkout: Path, mode: str, code: int, ended: int, asked: int, ends: str
) -> None:
    write_settings(steps, checkout, "foundry = {}")
    log, output = uv(checkout, code, "deploy-platform"), checkout / "output"
    output.touch()
    said = run(script(steps, BEFORE), checkout, MODE=mode, GITHUB_OUTPUT=str(output))
    assert (said.returncode, output.read_text()) == (ended, ends)
    assert len(log.read_text().splitlines()) == asked


@pytest.mark.parametrize(
    ("mode", "code", "ended"), [("--plan", 10, 0), ("--plan", 3, 3), ("--yes", 0, 0), ("--yes", 10, 10)]
)
def test_changes_of_the_workload_are_no_failure_of_its_plan(
    steps: list[dict[str, Any]], checkout: Path, mode: str, code: int, ended: int
) -> None:
    uv(checkout, code, "deploy-workload")
    assert run(script(steps, WORKLOAD), checkout, MODE=mode).returncode == ended


def test_settings_are_removed_in_any_case(steps: list[dict[str, Any]], checkout: Path) -> None:
    write_settings(steps, checkout, "")
    assert steps[-1]["if"] == "always()"
    assert run(steps[-1]["run"], checkout).returncode == 0
    assert not settings(checkout).exists()
