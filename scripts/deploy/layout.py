"""The stacks in their order, and where the files of each stack are."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from azure_openai_gateway import INSTALLED
from scripts.deploy.unpacked import keep_out_of_git, unpack

REPOSITORY = Path(__file__).resolve().parents[2]
"""The clone, or the package, which is laid out like it."""

_TERRAFORM = Path("infra", "terraform")


@dataclass(frozen=True, slots=True)
class Stack:
    """A Terraform configuration with a state and a command of its own."""

    name: str
    directory: str
    command: str
    needs: tuple[str, ...] = ()  # stacks that must be deployed first: it needs their outputs
    uses: tuple[str, ...] = ()  # stacks whose outputs it takes if they are deployed
    own: tuple[str, ...] = ()  # settings that only the command reads; Terraform never gets them
    is_optional: bool = False  # deployed only where it has settings


STACKS: dict[str, Stack] = {
    stack.name: stack
    for stack in (
        Stack("bootstrap", "00-bootstrap", "deploy-bootstrap"),
        Stack("observability", "05-observability", "deploy-observability", needs=("bootstrap",)),
        Stack("platform", "10-platform", "deploy-platform", needs=("bootstrap", "observability")),
        Stack("foundry", "15-foundry", "deploy-foundry", needs=("bootstrap", "platform"), is_optional=True),
        Stack(
            "workload",
            "20-workload",
            "deploy-workload",
            needs=("bootstrap", "observability", "platform"),
            uses=("foundry",),
            own=("secrets", "e2e_app_settings"),
        ),
    )
}
"""Every stack by name, in the order of deployment."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Files of one environment. Everything in `working` can be made again.

    In a clone they are below `infra/terraform`. An installed package has no place for them, so they are in
    the working directory, as with Terraform itself.
    """

    environment: str
    stacks: Path
    working: Path
    own: Path | None = None  # where the user's files are, if not beside the stacks

    @classmethod
    def find(cls, environment: str) -> Layout:
        """Those of the stacks in `GATEWAY_STACKS_DIR`, of the clone, or of the working directory."""
        layout = cls.places(environment)
        # Without settings nothing is deployed, so a command in a wrong directory leaves nothing there.
        if layout.own is None or not layout.settings.exists():
            return layout
        working = layout.working.parent
        keep_out_of_git(working)
        return replace(layout, stacks=unpack(REPOSITORY, working) / _TERRAFORM / "stacks")

    @classmethod
    def places(cls, environment: str) -> Layout:
        """The same, with nothing copied to them."""
        given = os.environ.get("GATEWAY_STACKS_DIR")
        if INSTALLED and not given:
            own, stacks = Path.cwd(), REPOSITORY / _TERRAFORM / "stacks"
            return cls(environment, stacks, own / ".deploy" / environment, own)
        stacks = Path(given or REPOSITORY / _TERRAFORM / "stacks").resolve()
        return cls(environment, stacks, stacks.parent / ".deploy" / environment)

    def directory(self, stack: Stack) -> Path:
        """The configuration of a stack."""
        return self.stacks / stack.directory

    @property
    def settings(self) -> Path:
        """The user's file: the settings of all stacks."""
        return (self.own or self.stacks.parent) / "environments" / f"{self.environment}.tfvars"

    @property
    def settings_of_gateway(self) -> Path:
        """Another place for the same file, beside the stack of the gateway."""
        return self.directory(STACKS["workload"]) / self.settings.name

    def settings_of_stack(self, stack: Stack) -> Path:
        """The user's file of one stack. Terraform does not load a file of this name by itself."""
        return self.directory(stack) / f"terraform.tfvars.{self.environment}"

    def data(self, stack: Stack) -> Path:
        """Working data of a stack."""
        return self.working / stack.directory

    def terraform_data(self, stack: Stack) -> Path:
        """The part of these data that Terraform writes: providers and the address of the state."""
        return self.data(stack) / "data"

    def private(self, path: Path) -> Path:
        """Make a directory among the working data, closed to other users of the machine."""
        self.working.mkdir(parents=True, exist_ok=True)
        self.working.chmod(0o700)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def naming(self) -> Path:
        """The Terraform module that knows every name."""
        return self.stacks.parent / "modules" / "naming"


def environments(incomplete: str) -> list[str]:
    """The environments that have a file of settings and begin so, for a shell that completes a name."""
    files = Layout.places("").settings.parent.glob(f"{incomplete}*.tfvars")
    return sorted(path.stem for path in files)
