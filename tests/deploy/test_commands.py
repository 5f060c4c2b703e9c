"""The commands as processes: exit codes, standard output, no terminal, Ctrl-C."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from scripts.deploy.layout import STACKS, Layout
from tests.deploy.commands import Commands, wait_for
from tests.deploy.support import FakeAz, write_tfvars


@pytest.fixture
def commands(layout: Layout, az: FakeAz) -> Commands:
    return Commands(layout, az)


def test_plan_ends_with_10_when_there_is_something_to_do(commands: Commands) -> None:
    assert commands.run("bootstrap", "--plan").returncode == 10


def test_a_deployment_ends_with_0(commands: Commands) -> None:
    assert commands.run("bootstrap", "--yes").returncode == 0


def test_plan_ends_with_0_when_there_is_nothing_to_do(commands: Commands) -> None:
    commands.run("bootstrap", "--yes")
    again = commands.run("bootstrap", "--plan")
    assert (again.returncode, "no changes" in again.stderr) == (0, True)


def test_json_is_all_there_is_on_standard_output(commands: Commands) -> None:
    result = commands.run("bootstrap", "--yes", "--output", "json")
    assert json.loads(result.stdout) == {"result": "applied", "state_storage_account_name": "aigw-state"}


def test_dotenv_can_be_read_by_a_shell(commands: Commands) -> None:
    result = commands.run("bootstrap", "--yes", "--output", "dotenv")
    assert "STATE_STORAGE_ACCOUNT_NAME=aigw-state" in result.stdout.splitlines()


def test_sensitive_outputs_are_not_printed(commands: Commands) -> None:
    commands.run("bootstrap", "--yes")
    result = commands.run("observability", "--yes", "--output", "json")
    assert "connection_string" not in result.stdout
    assert "InstrumentationKey" not in result.stdout + result.stderr


def test_without_a_terminal_nothing_is_assumed(commands: Commands) -> None:
    result = commands.run("bootstrap")
    assert (result.returncode, "Add --yes" in result.stderr) == (2, True)


def test_without_a_terminal_wrong_settings_come_first(commands: Commands, layout: Layout) -> None:
    write_tfvars(layout, "bootstrap", nmae="x")
    result = commands.run("bootstrap")
    told = ("Did you mean name?" in result.stderr, "--yes" in result.stderr)
    assert (result.returncode, told) == (2, (True, False))


def test_a_missing_stack_ends_with_4(commands: Commands) -> None:
    result = commands.run("platform", "--yes")
    assert (result.returncode, "Run deploy-bootstrap first" in result.stderr) == (4, True)


def test_invalid_settings_end_with_2(commands: Commands, layout: Layout) -> None:
    write_tfvars(layout, "bootstrap", nmae="x")
    result = commands.run("bootstrap", "--yes")
    assert (result.returncode, "Did you mean name?" in result.stderr) == (2, True)


def test_no_failure_is_a_traceback(commands: Commands, layout: Layout) -> None:
    commands.run("bootstrap", "--yes")
    state = layout.stacks.parent / "state" / "dev" / "00-bootstrap.tfstate"
    state.write_text("not a state")
    result = commands.run("observability", "--yes")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_a_stack_that_cannot_be_read_is_no_traceback(commands: Commands, layout: Layout) -> None:
    (layout.directory(STACKS["bootstrap"]) / "mine.tf").write_text('resource "terraform_data" "mine" {\n')
    result = commands.run("bootstrap", "--plan")
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert "00-bootstrap/mine.tf cannot be read near line" in result.stderr


def test_doctor_finds_what_is_missing(commands: Commands, az: FakeAz) -> None:
    az.answer("account show", error="ERROR: Please run 'az login' to setup account.")
    result = commands.run("doctor", "--output", "json")
    checks = {item["check"]: item for item in json.loads(result.stdout)["checks"]}
    assert result.returncode == 4
    assert checks["Azure login"]["remedy"] == "Run `az login`."


def test_status_says_what_comes_next(commands: Commands) -> None:
    commands.run("bootstrap", "--yes")
    rows = json.loads(commands.run("status", "--output", "json").stdout)["stacks"]
    assert [row["state"] for row in rows[:2]] == ["deployed", "not deployed"]


def test_status_fails_when_a_state_cannot_be_read(commands: Commands, layout: Layout) -> None:
    commands.run("bootstrap", "--yes")
    (layout.stacks.parent / "state" / "dev" / "10-platform.tfstate").write_text("not a state")
    result = commands.run("status", "--output", "json")
    platform = json.loads(result.stdout)["stacks"][2]
    assert (result.returncode, platform["state"], platform["next"]) == (1, "unreadable", "")
    assert "✗ Terraform could not initialise the platform stack." in result.stderr


@pytest.mark.parametrize("name", ["bootstrap", "workload", "destroy", "doctor", "status"])
def test_no_switch_seems_to_want_a_value(commands: Commands, name: str) -> None:
    lines = [line for line in commands.run(name, "--help").stdout.splitlines() if "--help" not in line]
    assert [line for line in lines if "<bool>" in line] == []


@pytest.mark.parametrize("arguments", [(), ("--yes",), ("dev",)])
def test_destroy_with_an_environment_alone_says_what_to_write(
    commands: Commands, arguments: tuple[str, ...]
) -> None:
    program = commands.run("destroy", *arguments)  # which adds dev
    words = " ".join(program.stderr.replace("│", " ").split())
    told = "aoai-gateway destroy all dev." in words, "aoai-gateway destroy workload dev." in words
    assert (program.returncode, told) == (2, (True, True))


def test_a_misspelt_stack_is_answered_with_the_one_that_was_meant(commands: Commands) -> None:
    program = commands.run("destroy", "wrkload", "--yes")
    assert (program.returncode, "Did you mean workload?" in program.stderr) == (2, True)


def test_destroy_all_takes_everything_away(commands: Commands) -> None:
    commands.run("bootstrap", "--yes")
    commands.run("observability", "--yes")
    program = commands.run("destroy", "all", "--yes", "--output", "json")
    rows = {row["stack"]: row["result"] for row in json.loads(program.stdout)["stacks"]}
    assert (program.returncode, rows["observability"], rows["bootstrap"]) == (0, "destroyed", "destroyed")


SLOW = """
resource "terraform_data" "slow" {
  depends_on = [terraform_data.logs]
  provisioner "local-exec" { command = "touch STARTED; exec sleep 60" }
}
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_stopping_saves_the_state_and_leaves_no_lock_and_no_file(
    commands: Commands, layout: Layout, tmp_path: Path, kind: signal.Signals
) -> None:
    commands.run("bootstrap", "--yes")
    main = layout.directory(STACKS["observability"]) / "main.tf"
    working = main.read_text()
    started = tmp_path / "started"
    main.write_text(working + SLOW.replace("STARTED", str(started)))
    process = commands.start("observability", "--yes")
    wait_for(started, process)
    process.send_signal(kind)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "saved its state and released its lock" in err
    assert not list(layout.working.glob("run-*"))
    main.write_text(working)
    again = commands.run("observability", "--yes")
    assert again.returncode == 0, again.stderr
    assert "create   terraform_data.logs" not in again.stderr  # what had been made was in the state
