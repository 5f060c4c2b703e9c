"""The stacks in their order, and where the files of each stack are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


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
    """Files of one environment. Everything in `working` can be made again."""

    environment: str
    stacks: Path
    working: Path

    @classmethod
    def find(cls, environment: str) -> Layout:
        """The repository's own stacks, or those in `GATEWAY_STACKS_DIR`."""
        stacks = Path(
            os.environ.get("GATEWAY_STACKS_DIR", REPOSITORY / "infra" / "terraform" / "stacks")
        ).resolve()
        return cls(environment, stacks, stacks.parent / ".deploy" / environment)

    def directory(self, stack: Stack) -> Path:
        """The configuration of a stack."""
        return self.stacks / stack.directory

    @property
    def settings(self) -> Path:
        """The user's file: the settings of all stacks."""
        return self.stacks.parent / "environments" / f"{self.environment}.tfvars"

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
