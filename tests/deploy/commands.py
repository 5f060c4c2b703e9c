"""The deploy commands as processes, as an operator runs them: with and without a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.deploy.layout import REPOSITORY, STACKS, Layout
from tests.deploy.gateway_server import GatewayStandIn, running_gateway
from tests.deploy.support import NO_VAULT, SUBSCRIPTION, FakeAz, copy_readers, make_stacks, write_tfvars
from tests.deploy.vault_server import FaultyVault, running
from tests.support.certificates import Certificate, make_certificate
from tests.support.signals import heed_signals

CLIENT_KEY = "canary-client-3b1f0c77a94e4d21"
BACKEND_KEY = "canary-backend-91e2d47b60f35a8c"
TOKEN = "canary-token-0b6a"
TENANT = "00000000-0000-0000-0000-00000000000b"
VAULT_NAME = "rest --method post --url /subscriptions/"
"""How the call of `az` begins that asks whether the name of a vault is free."""

RUNNING = {
    "name": "revision",
    "properties": {"active": True, "runningState": "Running", "healthState": "Healthy", "replicas": 1},
}


def _take_the_terminal() -> None:
    heed_signals()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Commands:
    """Runs a command of the package on the small stacks."""

    def __init__(self, layout: Layout, az: FakeAz) -> None:
        self.environment = {
            **os.environ,
            "GATEWAY_STACKS_DIR": str(layout.stacks),
            "PATH": az.path,
            "COLUMNS": "140",
        }

    def start(self, name: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        program = f"from scripts.deploy.cli import main_{name}; main_{name}()"
        usual = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "preexec_fn": heed_signals,
        }
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments, "dev"],
            env=self.environment,
            text=True,
            **{**usual, **options},
        )

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(name, *arguments)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @contextmanager
    def terminal(self, name: str, *arguments: str) -> Iterator[Terminal]:
        """Run a command with a terminal."""
        ours, theirs = pty.openpty()
        process = self.start(
            name,
            *arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_the_terminal,
        )
        os.close(theirs)
        terminal = Terminal(process, ours)
        try:
            yield terminal
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(ours)


@dataclass
class Terminal:
    """The terminal of a running command: its keyboard and its screen."""

    process: subprocess.Popen[str]
    file: int
    seen: str = ""
    patience_seconds: float = 60

    def expect(self, text: str) -> None:
        """Wait until the screen shows a text."""
        deadline = time.monotonic() + self.patience_seconds
        while text not in self.seen:
            assert self._read(deadline - time.monotonic()), f"{text!r} never came:\n{self.seen}"

    def type(self, keys: str) -> None:
        os.write(self.file, keys.encode())

    def end(self) -> int:
        """Exit code, once the command has ended."""
        deadline = time.monotonic() + self.patience_seconds
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(self.patience_seconds)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.file], [], [], max(seconds, 0))[0]:
            return False
        try:
            read = os.read(self.file, 65536)
        except OSError:  # on Linux this means that the other side is closed
            return False
        self.seen += read.decode("utf-8", "replace")
        return bool(read)


@dataclass
class Installation:
    """Small stacks and stand-ins for vault, gateway and `az`, for unmodified commands."""

    root: Path
    layout: Layout
    az: FakeAz
    vault: FaultyVault
    gateway: GatewayStandIn
    certificate: Certificate
    states: Path | None
    commands: Commands = field(init=False)

    def __post_init__(self) -> None:
        self.commands = Commands(self.layout, self.az)
        self.commands.environment |= {
            "GATEWAY_STATE_DIR": str(self.root / "state"),
            "TF_CLI_CONFIG_FILE": os.devnull,
            "REQUESTS_CA_BUNDLE": str(self.certificate.pem),
        }

    def settings(self, **changes: Any) -> Path:
        """Write the workload's tfvars."""
        return write_workload(self.layout, self.gateway, **changes)

    def move_to_azure(self) -> None:
        """Let the stacks keep their state in Azure, under the names of the repository's own module."""
        naming = REPOSITORY / "infra" / "terraform" / "modules" / "naming"
        shutil.copytree(naming, self.layout.naming, dirs_exist_ok=True)
        for stack in STACKS.values():
            main = self.layout.directory(stack) / "main.tf"
            main.write_text(main.read_text().replace('backend "local"', 'backend "azurerm"'))
        self.az.answer("storage account show", error="ERROR: (ResourceNotFound) The Resource was not found.")
        for question in ("storage account check-name", "acr check-name", VAULT_NAME):
            self.az.answer(question, {"nameAvailable": True, "message": None, "reason": None})

    def before_terraform(self, script: str) -> None:
        """Run shell commands, with Terraform's arguments, before each start of Terraform."""
        program = self.root / "bin" / "wrapped-terraform"
        terraform = self.commands.environment["TERRAFORM_BINARY"]
        program.write_text(f'#!/bin/sh\n{script}\nexec {terraform} "$@"\n')
        program.chmod(0o755)
        self.commands.environment["TERRAFORM_BINARY"] = str(program)

    def begin_with(self, *names: str) -> None:
        """Let these stacks be deployed already: copying their states is faster than deploying them."""
        assert self.states
        for name in names:
            state = Path("dev", f"{STACKS[name].directory}.tfstate")
            target = self.root / "state" / state
            target.parent.mkdir(parents=True, exist_ok=True)
            text = (self.states / state).read_text()
            target.write_text(text.replace(NO_VAULT, f"{self.vault.url}/"))
        copy_readers(self.states.parent, self.root, *names)

    def deploy(self, *names: str) -> None:
        """Deploy these stacks."""
        for name in names:
            result = self.commands.run(name, "--yes")
            assert result.returncode == 0, result.stderr


def write_workload(layout: Layout, gateway: GatewayStandIn, **changes: Any) -> Path:
    """Write the workload's tfvars: a client, a backend, their keys, and `changes`."""
    values: dict[str, Any] = {
        "url": gateway.url,
        "app_settings": {
            "GATEWAY_CLIENT_NAME_0": "team-a",
            "AZURE_OPENAI_ENDPOINT_0": "https://mine.openai.azure.com",
        },
        "secrets": {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY},
    }
    return write_tfvars(layout, "workload", **{**values, **changes})


@contextmanager
def installation(root: Path, states: Path | None = None) -> Iterator[Installation]:
    """Everything that a deployment needs, on loopback; nothing is deployed yet.

    `states` holds the states of stacks that were deployed once, for `Installation.begin_with`.
    """
    layout = make_stacks(root)
    (root / "bin").mkdir()
    az = FakeAz.install(root / "bin")
    az.answer("version", {"azure-cli": "2.80.0"})
    user = {"name": "alice@example.com", "type": "user"}
    account = {"environmentName": "AzureCloud", "id": SUBSCRIPTION, "name": "n", "tenantId": TENANT}
    az.answer("account show", {"user": user, **account})
    token = {"accessToken": TOKEN, "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}
    az.answer("account get-access-token", token)
    az.answer("account get-access-token --query expiresOn", token["expiresOn"])
    az.answer("provider list", registered())
    az.answer("containerapp revision show", RUNNING)
    az.answer("acr repository show", error="ERROR: the specified tag does not exist.")
    az.answer("acr build")
    az.answer("acr repository show --name registry --image base/", {"digest": "sha256:0"})
    certificate = make_certificate(root)
    with running(certificate) as (vault, _), running_gateway(CLIENT_KEY) as gateway:
        write_tfvars(layout, "platform", vault=f"{vault.url}/")
        made = Installation(root, layout, az, vault, gateway, certificate, states)
        made.settings()
        yield made


def registered(*but: str) -> list[dict[str, str]]:
    """The answer of `az provider list` when all providers are registered, except some."""
    from scripts.deploy.doctor import PROVIDERS

    return [
        {"namespace": name, "state": "NotRegistered" if name in but else "Registered"} for name in PROVIDERS
    ]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait for the file that a slow command leaves when it begins."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def interrupt(process: subprocess.Popen[str], kind: signal.Signals = signal.SIGINT) -> tuple[int, str]:
    """Ask a process to stop; returns its exit code and standard error."""
    process.send_signal(kind)
    _, err = process.communicate(timeout=60)
    return process.returncode, err
