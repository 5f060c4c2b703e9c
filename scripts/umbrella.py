"""`aoai-gateway`: all commands of the product under one name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distribution
from typing import Annotated, Any

import typer

from renderer.version import PRODUCT, VersionedGroup
from scripts.shell_completion import Shell, script


@dataclass(frozen=True, slots=True)
class Command:
    """A program: its module, the function that runs it and the object that describes its options."""

    purpose: str
    module: str
    run: str = "main"
    app: str = "app"


def _deploy(purpose: str, name: str) -> Command:
    return Command(purpose, "scripts.deploy.cli", f"main_{name}", f"main_{name}")


COMMANDS = {
    "run": Command("Run the gateway on this machine.", "scripts.local_gateway"),
    "render": Command("Check settings, and write the gateway's files from them.", "renderer.cli"),
    "demo": Command("See three simulated regions fail while clients notice nothing.", "scripts.demo.cli"),
    "deploy": _deploy("Deploy the gateway to Azure.", "deploy"),
    "doctor": _deploy("Check what a deployment needs.", "doctor"),
    "status": _deploy("Show what is deployed, or with --live what a gateway does now.", "status"),
    "usage": _deploy("Show who has used what of which budget.", "usage"),
    "destroy": _deploy("Remove a deployment from Azure.", "destroy"),
    "e2e": Command("Play scenarios against a gateway and judge it.", "e2e.cli"),
    "bench": Command("Measure what the gateway costs.", "e2e.bench.cli"),
    "simulator": Command("Simulate Azure OpenAI regions.", "e2e.simulator.cli"),
}
"""The commands by name. Each is a program of its own, loaded only when it is asked for."""


class _Umbrella(VersionedGroup):
    """While a shell completes, its commands have the options of the programs that they hand over to."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with. The others need not be loaded."""
        name, found, rest = super().resolve_command(ctx, args)
        if name in COMMANDS and ctx.resilient_parsing:
            command = COMMANDS[name]
            found = typer.main.get_command(getattr(importlib.import_module(command.module), command.app))
        return name, found, rest


app = typer.Typer(
    cls=_Umbrella,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="A drop-in gateway that pools Azure OpenAI capacity.",
    epilog="aoai-gateway COMMAND --help describes a command.",
)


def _handing_over(name: str, command: Command) -> Callable[[typer.Context], None]:
    """Runs a program with all further arguments, as if it had been called by its own name."""

    def run(context: typer.Context) -> None:
        sys.argv = [f"{context.find_root().info_name} {name}", *context.args]
        program: Callable[[], None] = getattr(importlib.import_module(command.module), command.run)
        program()

    return run


for _name, _command in COMMANDS.items():
    app.command(
        _name,
        help=_command.purpose,
        short_help=_command.purpose,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(_handing_over(_name, _command))


@app.command(short_help="Print what makes a shell complete these commands.")
def completion(shell: Annotated[Shell, typer.Argument(help="The shell that shall complete.")]) -> None:
    """Print what makes a shell complete these commands.

    For bash, in ~/.bashrc: eval "$(aoai-gateway completion bash)"
    """
    typer.echo(script(shell, programs()))


def programs() -> list[str]:
    """The names of all console scripts that the package brings."""
    return [each.name for each in distribution(PRODUCT).entry_points.select(group="console_scripts")]


def main() -> None:
    """The command's entry point."""
    app()
