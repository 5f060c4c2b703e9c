"""The option `--version`, which every command of the product has."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

PRODUCT = "azure-openai-gateway"


def version_text() -> str:
    """Such as `azure-openai-gateway 0.1.0`. In an image only the sources are there, which have no version."""
    try:
        return f"{PRODUCT} {version(PRODUCT)}"
    except PackageNotFoundError:
        return f"{PRODUCT}, not installed as a package"


def _show(is_asked: bool) -> None:
    if is_asked:
        typer.echo(version_text())
        raise typer.Exit


@cache
def _option() -> Any:
    """The option as an object, which typer makes only for a function."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def command(
        version: Annotated[
            bool,
            typer.Option(
                "--version",
                metavar="",
                is_eager=True,
                expose_value=False,
                callback=_show,
                help="Show the version and exit.",
            ),
        ] = False,
    ) -> None:
        pass

    (option,) = typer.main.get_command(app).params
    return option


def _inserted(ours: list[Any], all_of_them: list[Any]) -> list[Any]:
    """All parameters, with `--version` after our own and before `--help`."""
    return [*ours, _option(), *all_of_them[len(ours) :]]


class VersionedCommand(TyperCommand):
    """A command with `--version`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, and the one more."""
        return _inserted(self.params, super().get_params(ctx))


class VersionedGroup(TyperGroup):
    """A group of commands with `--version`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, and the one more."""
        return _inserted(self.params, super().get_params(ctx))
