"""What scripts/setup.sh does to a machine: nothing twice, and nothing without permission.

Commands that would change the machine are stand-ins that note how they were called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.engines.embedded import PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "sh", "cat", "dirname", "mkdir", "tail")
TEST_PACKAGES = ("lua-check", "redis-server", "shellcheck", "wrk")

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-query") is None, reason="the set-up uses apt: Debian or Ubuntu"
)


class Machine:
    """A copy of the set-up with a PATH of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root / "repository"
        self.bin = root / "bin"
        self.calls = root / "calls"
        self.bin.mkdir()
        self.calls.touch()
        for name in ("setup.sh", "apt-install.sh", "engines/embedded-packages.txt"):
            target = self.root / "scripts" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / "scripts" / name, target)
        (self.root / ".venv" / "bin").mkdir(parents=True)
        (self.root / ".venv" / "bin" / "python").touch(0o755)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        self.command("python3")
        self.command("uv")
        self.command("apt-get")
        self.installed(*PACKAGES.split(), "make", *TEST_PACKAGES)

    def command(self, name: str, then: str = "true") -> None:
        """Puts a stand-in on PATH that notes its arguments."""
        script = self.bin / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n{then}\n')
        script.chmod(0o755)

    def installed(self, *packages: str) -> None:
        """Says which Debian packages there are."""
        lines = "\n".join(f"echo '{package} installed'" for package in packages)
        script = self.bin / "dpkg-query"
        script.write_text(f"#!/bin/sh\n{lines}\n")
        script.chmod(0o755)

    def user(self, number: int) -> None:
        """Says who runs the set-up."""
        (self.bin / "id").write_text(f"#!/bin/sh\necho {number}\n")
        (self.bin / "id").chmod(0o755)

    def set_up(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs it."""
        return subprocess.run(
            [self.root / "scripts" / "setup.sh", *arguments],
            env={"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/"), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def called(self, name: str) -> list[str]:
        """How a stand-in was called."""
        return [line for line in self.calls.read_text().splitlines() if line.startswith(f"{name} ")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_with_everything_there_it_says_nothing(machine: Machine) -> None:
    done = machine.set_up()
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_with_everything_there_it_installs_no_package(machine: Machine) -> None:
    machine.set_up()
    assert machine.called("apt-get") == []


def test_the_environment_is_always_that_of_the_lock_file(machine: Machine) -> None:
    machine.set_up()
    assert "uv sync --quiet --locked" in machine.called("uv")


def test_without_root_or_sudo_it_names_the_exact_command(machine: Machine) -> None:
    machine.installed("make", "nginx")
    machine.user(1000)
    missing = PACKAGES.removeprefix("nginx ")
    command = f"apt-get update && apt-get install -y --no-install-recommends {missing}\n"
    assert machine.set_up("run").stderr.endswith(command)


def test_without_root_or_sudo_it_fails(machine: Machine) -> None:
    machine.installed()
    machine.user(1000)
    assert machine.set_up().returncode == 1


def test_with_sudo_it_installs_only_what_is_missing(machine: Machine) -> None:
    machine.installed(*PACKAGES.split(), "make", *TEST_PACKAGES[1:])
    machine.user(1000)
    machine.command("sudo")
    machine.set_up()
    assert machine.called("sudo") == ["sudo -n true", "sudo sh scripts/apt-install.sh lua-check"]


def test_a_sudo_that_would_ask_for_a_password_is_not_used_without_a_terminal(machine: Machine) -> None:
    machine.installed()
    machine.user(1000)
    machine.command("sudo", then="exit 1")
    machine.set_up()
    assert machine.called("sudo") == ["sudo -n true"]


def test_the_demo_needs_no_test_tools(machine: Machine) -> None:
    machine.installed(*PACKAGES.split(), "make")
    machine.user(1000)
    assert machine.set_up("run").returncode == 0


@pytest.mark.parametrize("engine", ["docker", "apisix"])
def test_another_engine_needs_no_nginx_of_the_distribution(machine: Machine, engine: str) -> None:
    machine.installed("make")
    machine.user(1000)
    assert machine.set_up("run", ENGINE=engine).returncode == 0


@pytest.mark.parametrize(("takes", "said"), [("0", False), ("3", True)])
def test_only_what_takes_longer_than_two_seconds_is_said(machine: Machine, takes: str, said: bool) -> None:
    machine.command("uv", then=f'[ "$1" != sync ] || {shutil.which("sleep")} {takes}')
    assert ("installing the Python packages" in machine.set_up().stderr) is said


def test_a_failing_installation_fails_the_set_up(machine: Machine) -> None:
    machine.command("uv", then='[ "$1" != sync ]')
    assert machine.set_up().returncode == 1


def test_an_activated_environment_of_something_else_is_left_alone(machine: Machine) -> None:
    seen = 'echo "environment ${VIRTUAL_ENV-none} $UV_PROJECT_ENVIRONMENT"'
    machine.command("uv", then=f"{seen} >>{machine.calls}")
    machine.set_up(VIRTUAL_ENV="/somewhere/else")
    assert machine.called("environment")[-1] == "environment none .venv"


def test_an_unknown_purpose_is_refused(machine: Machine) -> None:
    assert "use run or test" in machine.set_up("deploy").stderr
