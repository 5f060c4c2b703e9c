"""Which stacks there are, in which order, and where their files are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Stack:
    """One Terraform configuration that is deployed on its own."""

    name: str
    directory: str
    command: str
    needs: tuple[str, ...] = ()  # stacks whose outputs it cannot do without
    uses: tuple[str, ...] = ()  # stacks whose outputs it takes when they are there
    own: tuple[str, ...] = ()  # settings in its tfvars that are for the command alone, never for Terraform


STACKS: dict[str, Stack] = {
    stack.name: stack
    for stack in (
        Stack("bootstrap", "00-bootstrap", "deploy-bootstrap"),
        Stack("observability", "05-observability", "deploy-observability", needs=("bootstrap",)),
        Stack("platform", "10-platform", "deploy-platform", needs=("bootstrap", "observability")),
        Stack("foundry", "15-foundry", "deploy-foundry", needs=("bootstrap", "platform")),
        Stack(
            "workload",
            "20-workload",
            "deploy-workload",
            needs=("bootstrap", "observability", "platform"),
            uses=("foundry",),
            own=("secrets",),
        ),
    )
}
"""Every stack, each after those that it needs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Files of one environment. `working` holds nothing that cannot be made again."""

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
        """Configuration of a stack."""
        return self.stacks / stack.directory

    def tfvars(self, stack: Stack) -> Path:
        """The user's settings of a stack, which Terraform does not load by itself: the name sees to that."""
        return self.directory(stack) / f"terraform.tfvars.{self.environment}"

    def example(self, stack: Stack) -> Path:
        """What the user's settings are copied from: the environment's own example, or that of dev."""
        own = self.directory(stack) / f"terraform.tfvars.{self.environment}.example"
        return own if own.exists() else own.with_name("terraform.tfvars.dev.example")

    def data(self, stack: Stack) -> Path:
        """Working data of a stack."""
        return self.working / stack.directory

    def terraform_data(self, stack: Stack) -> Path:
        """Terraform's own part of them: providers and the address of the state."""
        return self.data(stack) / "data"

    def private(self, path: Path) -> Path:
        """Make a directory among the working data, which nobody else may look into."""
        self.working.mkdir(parents=True, exist_ok=True)
        self.working.chmod(0o700)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def naming(self) -> Path:
        """The module that knows every name."""
        return self.stacks.parent / "modules" / "naming"
