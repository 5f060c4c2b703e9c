"""Stopping at each stage, and a reader that goes away: no lock, no file, no process stays behind."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from scripts.deploy.layout import STACKS
from tests.deploy.commands import Installation, interrupt, wait_for

KINDS = pytest.mark.parametrize(
    "kind",
    [
        signal.SIGINT,
        *(pytest.param(kind, marks=pytest.mark.long) for kind in (signal.SIGTERM, signal.SIGHUP)),
    ],
)


def slow(made: Installation, command: str) -> Path:
    """Let Terraform hang in a command; returns the file that shows that it hangs."""
    hanging = made.root / "terraform-hangs"
    made.before_terraform(f'if [ "$1" = {command} ]; then touch {hanging}; exec sleep 60; fi')
    return hanging


def stop(made: Installation, name: str, hanging: Path, kind: signal.Signals) -> tuple[int, str]:
    """Run a command until it hangs, and ask it to stop; returns its exit code and standard error."""
    process = made.commands.start(name, "--yes")
    wait_for(hanging, process)
    return interrupt(process, kind)


def leftovers(made: Installation) -> list[Path]:
    """What a command may only have while it runs."""
    return [*made.layout.working.glob("run-*"), *made.layout.stacks.rglob("*_override.tf")]


@KINDS
def test_stopping_while_earlier_stacks_are_read_ends_at_once(
    made: Installation, kind: signal.Signals
) -> None:
    made.begin_with("bootstrap")
    code, err = stop(made, "platform", slow(made, "output"), kind)
    assert code == 130, err
    assert leftovers(made) == []


@KINDS
def test_stopping_while_the_plan_is_made_changes_nothing(made: Installation, kind: signal.Signals) -> None:
    made.begin_with("bootstrap")
    code, err = stop(made, "observability", slow(made, "plan"), kind)
    assert code == 130, err
    assert leftovers(made) == []
    assert not (made.root / "state" / "dev" / "05-observability.tfstate").exists()


def test_a_terminal_that_closes_does_not_stop_what_nohup_has_started(made: Installation) -> None:
    made.begin_with("bootstrap")
    planning, closed = made.root / "planning", made.root / "terminal-is-closed"
    made.before_terraform(
        f'if [ "$1" = plan ]; then touch {planning}; while [ ! -e {closed} ]; do sleep 0.1; done; fi'
    )
    process = made.commands.start(
        "observability", "--yes", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    wait_for(planning, process)
    process.send_signal(signal.SIGHUP)
    closed.touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


@KINDS
def test_stopping_the_first_bootstrap_leaves_its_stack_as_it_was(
    made: Installation, kind: signal.Signals
) -> None:
    code, err = stop(made, "bootstrap", slow(made, "plan"), kind)
    assert code == 130, err
    assert leftovers(made) == []


@KINDS
def test_stopping_while_an_image_is_built_can_be_gone_on_from(
    made: Installation, kind: signal.Signals
) -> None:
    made.begin_with("bootstrap", "observability", "platform")
    made.az.answer("acr build", hangs=True)
    code, err = stop(made, "workload", made.root / "bin" / "hanging", kind)
    assert (code, "Run the command again" in err) == (130, True)
    made.az.answer("acr build")
    made.deploy("workload")


def test_stopping_while_key_vault_is_waited_for_ends_at_once(made: Installation) -> None:
    made.begin_with("bootstrap", "observability", "platform")
    made.vault.deny("GET", 429, "Throttled", {"Retry-After": "60"})
    process = made.commands.start("workload", "--yes")
    assert process.stderr is not None
    for line in process.stderr:
        if "Key Vault is throttling" in line:
            break
    code, err = interrupt(process)
    assert code == 130, err


MANY = """
resource "terraform_data" "first" {
  provisioner "local-exec" { command = "for i in $(seq 600); do [ ! -e GONE ] || exit 0; sleep 0.1; done" }
}
resource "terraform_data" "many" {
  count      = 300
  input      = count.index
  depends_on = [terraform_data.first]
}
"""


def test_a_reader_that_goes_away_does_not_stop_terraform_half_way(made: Installation) -> None:
    """Output that is not read would fill the pipe, and Terraform would hold the lock for ever."""
    made.begin_with("bootstrap")
    main = made.layout.directory(STACKS["observability"]) / "main.tf"
    gone = made.root / "reader-is-gone"
    main.write_text(main.read_text() + MANY.replace("GONE", str(gone)))
    process = made.commands.start("observability", "--yes", stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    for line in process.stderr:
        if "Creating..." in line:
            break
    process.stderr.close()
    gone.touch()
    assert process.wait(60) == 1
    again = made.commands.run("observability", "--plan")
    assert (again.returncode, "no changes" in again.stderr) == (0, True)


def test_a_state_that_stayed_on_disk_when_the_storage_was_to_go_is_gone_on_from(made: Installation) -> None:
    made.begin_with("bootstrap")
    main = made.layout.directory(STACKS["bootstrap"]) / "main.tf"
    working = main.read_text()
    stuck = 'provisioner "local-exec" {\n  when = destroy\n  command = "exit 3"\n}\n'
    main.write_text(
        working.replace('input = "${var.name}-state" }', f'input = "${{var.name}}-state"\n{stuck}}}')
    )
    assert made.commands.run("destroy", "bootstrap", "--yes").returncode == 1
    assert leftovers(made) == []
    main.write_text(working)
    again = made.commands.run("destroy", "bootstrap", "--yes", "--output", "json")
    assert (again.returncode, '"destroyed"' in again.stdout) == (0, True)


def test_what_a_killed_bootstrap_left_is_removed(made: Installation) -> None:
    made.begin_with("bootstrap")
    elsewhere = made.root / "elsewhere.tfstate"
    override = made.layout.directory(STACKS["bootstrap"]) / "backend_override.tf"
    override.write_text(f'terraform {{\n  backend "local" {{\n    path = "{elsewhere}"\n  }}\n}}\n')
    result = made.commands.run("bootstrap", "--plan")
    assert (result.returncode, leftovers(made)) == (0, [])


def test_a_second_interrupt_does_not_claim_that_the_lock_was_released(made: Installation) -> None:
    made.begin_with("bootstrap")
    started, asked = made.root / "started", made.root / "asked"
    made.before_terraform(
        f"""if [ "$1" = apply ]; then
              trap 'touch {asked}; trap - INT; while :; do sleep 1; done' INT
              touch {started}
              while :; do sleep 1; done
            fi"""
    )
    process = made.commands.start("observability", "--yes")
    wait_for(started, process)
    process.send_signal(signal.SIGINT)
    wait_for(asked, process)
    code, err = interrupt(process)
    assert (code, "released its lock" in err, "may lack what was just made" in err) == (130, False, True)
    assert leftovers(made) == []


def test_working_data_are_private(made: Installation) -> None:
    made.deploy("bootstrap")
    assert made.layout.working.stat().st_mode & 0o077 == 0
