"""Small stacks of built-in resources, a stand-in for `az`, and sessions that never sleep."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any

from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.console import OutputFormat, Screen
from scripts.deploy.layout import STACKS, Layout
from scripts.deploy.session import Session
from scripts.deploy.waiting import Waiter

SUBSCRIPTION = "00000000-0000-0000-0000-00000000000a"

# The address of the vault where none is meant to be found.
NO_VAULT = "https://127.0.0.1:1/"

BACKEND = 'terraform {\n  backend "local" {}\n}\n'
COMMON = """
variable "subscription_id" { type = string }
variable "name" { type = string }
variable "environment" { type = string }
"""
# They have outputs and inputs of the real stacks, but their resources need no cloud.
STACK_BODIES = {
    "bootstrap": """
resource "terraform_data" "storage" { input = "${var.name}-state" }
output "state_storage_account_name" { value = terraform_data.storage.output }
""",
    "observability": """
resource "terraform_data" "logs" { input = "workspace-of-${var.name}" }
output "log_analytics_workspace_id" { value = terraform_data.logs.output }
output "application_insights_connection_string" {
  value     = "InstrumentationKey=11111111-1111-1111-1111-111111111111;IngestionEndpoint=https://in.example.com/"
  sensitive = true
}
""",
    "platform": """
variable "log_analytics_workspace_id" { type = string }
variable "vault" {
  type    = string
  default = "https://127.0.0.1:1/"
}
resource "terraform_data" "platform" { input = var.log_analytics_workspace_id }
output "key_vault_uri" { value = var.vault }
output "registry_name" { value = "registry" }
output "registry_login_server" { value = "registry.example.com" }
output "gateway_identity_client_id" { value = "client-id" }
output "gateway_identity_principal_id" { value = "principal-id" }
output "environment_default_domain" { value = "env.example.com" }
""",
    "foundry": """
variable "gateway_identity_principal_id" { type = string }
resource "terraform_data" "accounts" { input = var.gateway_identity_principal_id }
output "foundry_resource_group_name" { value = "rg-foundry" }
output "azure_openai_backends" {
  value = [{
    name = "sweden", endpoint = "https://oai-sweden.openai.azure.com",
    region = "swedencentral", priority = 5, weight = 1, deployments = ["gpt-4o"]
  }]
}
""",
    "workload": """
variable "app_settings" { type = map(string) }
variable "secret_versions" { type = map(string) }
variable "e2e_secret_versions" {
  type    = map(string)
  default = {}
}
variable "max_replicas" {
  type    = number
  default = 5
}
variable "deploy_e2e" {
  type    = bool
  default = false
}
variable "gateway_image" { type = string }
variable "renderer_image" { type = string }
variable "collector_image" {
  type    = string
  default = null
}
variable "redis_image" {
  type    = string
  default = null
}
variable "simulator_image" {
  type    = string
  default = null
}
variable "url" {
  type    = string
  default = "http://127.0.0.1:1"
}
resource "terraform_data" "app" {
  input = {
    settings = var.app_settings
    secrets  = var.secret_versions
    stage    = var.e2e_secret_versions
    image    = var.gateway_image
    others   = [var.collector_image, var.redis_image]
  }
}
output "gateway_url" { value = var.url }
output "e2e_stage" {
  value = var.deploy_e2e ? {
    key_vault_uri              = "https://127.0.0.1:1/"
    client_key_secrets         = { for n in ["one", "two", "three"] : "client-${n}" => "e2e-client-${n}-key" }
    simulator_urls             = { "ptu-backend-1" = "https://sim.example.com" }
    simulator_key_secret       = "e2e-simulator-key"
    simulator_admin_key_secret = "e2e-simulator-admin-key"
    app_settings = merge(var.app_settings, {
      GATEWAY_E2E_TEST_MODE   = "true"
      AZURE_OPENAI_ENDPOINT_0 = "https://sim.example.com", AZURE_OPENAI_NAME_0 = "ptu-backend-1"
      AZURE_OPENAI_ENDPOINT_1 = "https://sim.example.com", AZURE_OPENAI_NAME_1 = "payg-backend-1"
      AZURE_OPENAI_ENDPOINT_2 = "https://sim.example.com", AZURE_OPENAI_NAME_2 = "payg-backend-2"
      GATEWAY_CLIENT_NAME_0   = "client-one"
      GATEWAY_CLIENT_NAME_1   = "client-two"
      GATEWAY_CLIENT_NAME_2   = "client-three"
    })
    max_replicas = var.max_replicas
  } : null
}
output "gateway_app_name" { value = "ca-test" }
output "workload_resource_group_name" { value = "rg-test" }
output "latest_revision_name" {
  value = "ca-test--${substr(sha256(jsonencode(terraform_data.app.input)), 0, 7)}"
}
""",
}


def make_stacks(root: Path, environment: str = "dev") -> Layout:
    """Write all stacks below `root`, with settings for one environment."""
    layout = Layout(environment, root / "stacks", root / ".deploy" / environment)
    for name, stack in STACKS.items():
        directory = layout.directory(stack)
        directory.mkdir(parents=True)
        (directory / "main.tf").write_text(BACKEND + COMMON + STACK_BODIES[name])
        write_tfvars(layout, name)
    return layout


def copy_readers(origin: Path, root: Path, *names: str) -> None:
    """Copy what a command that has read some states leaves, so that the next one need not initialise."""
    for name in names:
        directory = Path(".deploy", "dev", STACKS[name].directory, "reader")
        for path in filter(Path.is_file, (origin / directory).rglob("*")):
            target = root / path.relative_to(origin)
            target.parent.mkdir(parents=True, exist_ok=True)
            # The address of the state.
            target.write_text(path.read_text().replace(str(origin), str(root)))


# What each file says of each stack.
_SAID: dict[Path, dict[str, Mapping[str, Any]]] = {}


def write_tfvars(layout: Layout, stack_name: str, /, **values: Any) -> Path:
    """Write what the user's file says of a stack, beside what it says already of the others."""
    said = _SAID.setdefault(layout.settings, {})
    said[stack_name] = values
    layout.settings.parent.mkdir(exist_ok=True)
    common: dict[str, Any] = {"subscription_id": SUBSCRIPTION, "name": "aigw"}
    sections = {name: given for name, given in said.items() if name != "workload"}
    write_settings(layout.settings, {**common, **said.get("workload", {}), **sections})
    return layout.settings


def forget_tfvars(layout: Layout, stack_name: str) -> None:
    """Take the section of a stack out of the user's file."""
    _SAID[layout.settings].pop(stack_name)
    write_tfvars(layout, "bootstrap")


def write_earlier(layout: Layout, stack_name: str, /, **values: Any) -> Path:
    """Write the settings of a stack in the earlier form: a file of its own, with the common ones."""
    common = {"subscription_id": SUBSCRIPTION, "name": "aigw", "environment": layout.environment}
    return write_settings(layout.settings_of_stack(STACKS[stack_name]), {**common, **values})


def write_settings(path: Path, values: Mapping[str, Any]) -> Path:
    """Write settings as tfvars."""
    path.write_text("".join(f"{key} = {hcl(value)}\n" for key, value in values.items()))
    return path


def hcl(value: Any) -> str:
    """A value as it is written in tfvars."""
    if isinstance(value, Mapping):
        return "{\n" + "".join(f"  {key} = {hcl(item)}\n" for key, item in value.items()) + "}"
    return json.dumps(value)


@dataclass
class FakeTime:
    """A clock that only waiting moves."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)

    def clock(self) -> float:
        return self.now


def make_session(layout: Layout, az: AzureCli | None = None, time: FakeTime | None = None) -> Session:
    """A session that never sleeps."""
    screen = Screen(OutputFormat.JSON)
    time = time or FakeTime()
    return Session(layout, screen, az or AzureCli("az"), Waiter(screen, time.sleep, time.clock))


# In sh, because it starts in a tenth of the time of Python, and the tests call it many hundred times.
_FAKE_AZ = """#!/bin/sh
here={directory}
printf '%s\\0' "$#" "$@" >> "$here/calls"
cat /proc/$$/environ >> "$here/environment"
line="$*"
case "$line" in
"acr build "*)
    for word in "$@"; do
        [ "$previous" != --file ] || dockerfile=$word
        previous=$word
    done
    # The real `az` looks in its working directory, not in the context.
    [ -f "$dockerfile" ] || {{ printf '%s' "ERROR: Unable to find '$dockerfile'." >&2; exit 1; }}
    ;;
esac
. "$here/answers"
printf '%s' "ERROR: unexpected: $line" >&2
exit 1
"""


@dataclass(frozen=True)
class _Answer:
    to: str
    out: str
    error: str
    hangs: bool
    after: str

    def noticing(self, marker: str) -> str:
        """Shell code that marks that a command was called after which this answer is given."""
        return f"case $line in {quote(self.after)}*) : > {marker};; esac\n" if self.after else ""

    def giving(self, marker: str) -> str:
        """Shell code that gives this answer to the commands that it is for."""
        condition = f"[ -e {marker} ]" if self.after else "true"
        waiting = ': > "$here/hanging"; sleep 60; ' if self.hangs else ""
        said = f"printf %s {quote(self.out)}; printf %s {quote(self.error)} >&2; exit {int(bool(self.error))}"
        return f"case $line in {quote(self.to)}*) if {condition}; then {waiting}{said}; fi;; esac\n"


@dataclass
class FakeAz:
    """A stand-in for the Azure CLI: gives scripted answers and records its calls."""

    directory: Path
    answers: list[_Answer] = field(default_factory=list)

    @classmethod
    def install(cls, directory: Path) -> FakeAz:
        program = directory / "az"
        program.write_text(_FAKE_AZ.format(directory=quote(str(directory))))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        fake = cls(directory)
        fake._save()
        return fake

    def answer(
        self,
        to: str,
        value: Any = None,
        *,
        raw: str = "",
        error: str = "",
        hangs: bool = False,
        after: str = "",
    ) -> None:
        """Answer commands that begin with `to`, perhaps only after one that begins with `after`.

        Later answers come first. One that hangs leaves a file. `raw` is an answer that is no JSON.
        """
        out = raw if value is None else json.dumps(value)
        self.answers.insert(0, _Answer(to, out, error, hangs, after))
        self._save()

    @property
    def calls(self) -> list[list[str]]:
        log = self.directory / "calls"
        words = iter(log.read_text().split("\0")[:-1] if log.exists() else ())
        # Before the words of each call there is their number.
        return [list(islice(words, int(count))) for count in words]

    def called(self, *words: str) -> list[list[str]]:
        return [call for call in self.calls if call[: len(words)] == list(words)]

    @property
    def cli(self) -> AzureCli:
        return AzureCli(str(self.directory / "az"))

    @property
    def path(self) -> str:
        return f"{self.directory}{os.pathsep}{os.environ['PATH']}"

    def _save(self) -> None:
        markers = [f'"$here/been.{number}"' for number in reversed(range(len(self.answers)))]
        parts = [answer.noticing(marker) for answer, marker in zip(self.answers, markers, strict=True)]
        parts += [answer.giving(marker) for answer, marker in zip(self.answers, markers, strict=True)]
        # In one step, because a command may be reading it.
        new = self.directory / "answers.new"
        new.write_text("".join(parts))
        new.replace(self.directory / "answers")


def files_with(text: str, *roots: Path) -> list[Path]:
    """Files below `roots` that contain a text, plainly or inside an archive, as Terraform's plans are."""
    import zipfile

    found = []
    for root in roots:
        for path in root.rglob("*"):
            if not path.is_file():
                continue
            content = path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    content += b"".join(archive.read(name) for name in archive.namelist())
            if text.encode() in content:
                found.append(path)
    return found
