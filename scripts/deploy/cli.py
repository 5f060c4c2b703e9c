"""The commands: options, exit codes and screens; the work is done in the modules beside."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.bootstrap import deploy_bootstrap
from scripts.deploy.console import OutputFormat, Screen
from scripts.deploy.deploy_errors import DeployError, ExitCode, InvalidSettingsError
from scripts.deploy.deployment import Mode, Outcome, deploy, require_an_answer
from scripts.deploy.destroy import destroy as destroy_stacks
from scripts.deploy.layout import STACKS, Layout
from scripts.deploy.session import Session, explain, stopping_cleanly
from scripts.deploy.status import overview
from scripts.deploy.tfvars import is_placeholder, read_tfvars
from scripts.deploy.waiting import Waiter
from scripts.terraform.runner import TerraformError, TerraformMissingError

# Without an empty one the help shows `<bool>`, as if a value had to follow.
_flag = partial(typer.Option, metavar="")

logging.getLogger("azure").addHandler(logging.NullHandler())  # every failure is told below, once

Environment = Annotated[
    str,
    typer.Argument(
        envvar="GATEWAY_ENVIRONMENT",
        help="Which terraform.tfvars.<environment> to use, for example dev.",
        metavar="ENV",
    ),
]
PlanOnly = Annotated[bool, _flag("--plan", help="Show what would change; exit code 10 if anything.")]
Yes = Annotated[bool, _flag("--yes", "-y", help="Go ahead without a question.")]
Output = Annotated[
    OutputFormat, typer.Option("--output", "-o", help="How the result is printed on standard output.")
]

EXIT_CODES = (
    "Exit codes: 0 done or nothing to do, 1 failed, 2 invalid settings or options, 3 Key Vault, 4 something "
    "has to be there first, 5 state locked, 10 --plan found changes, 130 interrupted."
)


def _mode(plan: bool, yes: bool) -> Mode:
    if plan and yes:
        raise InvalidSettingsError("--plan and --yes exclude each other.")
    return Mode.PLAN if plan else Mode.YES if yes else Mode.ASK


@contextmanager
def _session(environment: str, output: OutputFormat) -> Iterator[Session]:
    """Open a session; end the process with the right code, and never with a traceback."""
    screen = Screen(output)
    try:
        with stopping_cleanly():
            if not (environment.isascii() and environment.isalnum() and environment.islower()):
                raise InvalidSettingsError(
                    "ENV, the environment, must be lower-case letters and digits, for example dev."
                )
            layout = Layout.find(environment)
            yield Session(layout, screen, AzureCli(subscription_id=_subscription(layout)), Waiter(screen))
    except DeployError as error:
        screen.failure(error)
        raise typer.Exit(error.exit_code) from None
    except (TerraformError, TerraformMissingError) as error:
        explanation = explain(error, "stacks")
        screen.failure(explanation)
        raise typer.Exit(explanation.exit_code) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read the output has gone; there is nobody to tell
            raise typer.Exit(ExitCode.FAILED) from None
        place = f" {error.filename}" if error.filename else ""
        screen.failure(DeployError(f"The system refused{place}: {error.strerror or error}."))
        raise typer.Exit(ExitCode.FAILED) from None
    except KeyboardInterrupt:
        screen.failure(DeployError("Stopped.", remedy="Run the command again to go on from here."))
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _subscription(layout: Layout) -> str | None:
    """Subscription that `az` is to be asked about, as far as it is known already."""
    for stack in STACKS.values():
        with suppress(InvalidSettingsError):  # told by whoever needs these settings
            value = read_tfvars(layout.tfvars(stack)).get("subscription_id")
            if isinstance(value, str) and not is_placeholder(value):
                return value
    return os.environ.get("ARM_SUBSCRIPTION_ID")


def _finish(screen: Screen, title: str, outcome: Outcome) -> None:
    screen.result(title, {"result": outcome.ended.name.lower(), **outcome.values()}, {})
    raise typer.Exit(outcome.ended.exit_code)


def _deploy_stack(name: str, environment: str, plan: bool, yes: bool, output: OutputFormat) -> None:
    with _session(environment, output) as session:
        mode = _mode(plan, yes)
        require_an_answer(session.screen, mode)
        stack = STACKS[name]
        outcome = deploy_bootstrap(session, mode) if name == "bootstrap" else deploy(session, stack, mode)
        _finish(session.screen, stack.name, outcome)


def bootstrap(
    environment: Environment, plan: PlanOnly = False, yes: Yes = False, output: Output = OutputFormat.TABLE
) -> None:
    """Make the storage that keeps the Terraform state."""
    _deploy_stack("bootstrap", environment, plan, yes, output)


def observability(
    environment: Environment, plan: PlanOnly = False, yes: Yes = False, output: Output = OutputFormat.TABLE
) -> None:
    """Deploy logs, traces, metrics and alerts."""
    _deploy_stack("observability", environment, plan, yes, output)


def platform(
    environment: Environment, plan: PlanOnly = False, yes: Yes = False, output: Output = OutputFormat.TABLE
) -> None:
    """Deploy registry, Key Vault, identity and Container Apps environment."""
    _deploy_stack("platform", environment, plan, yes, output)


def foundry(
    environment: Environment, plan: PlanOnly = False, yes: Yes = False, output: Output = OutputFormat.TABLE
) -> None:
    """Deploy model accounts and their deployments."""
    _deploy_stack("foundry", environment, plan, yes, output)


def workload(
    environment: Environment,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Output = OutputFormat.TABLE,
    deploy_e2e: Annotated[bool, _flag("--deploy-e2e", help="Simulators instead of real backends.")] = False,
    local_docker: Annotated[
        bool, _flag("--local-docker", help="Build images here, not in the registry.")
    ] = False,
    no_azure_openai: Annotated[
        bool, _flag("--no-azure-openai", help="Leave the accounts of the foundry stack out.")
    ] = False,
    no_image_build: Annotated[
        bool, _flag("--no-image-build", help="Rely on the images being in the registry.")
    ] = False,
) -> None:
    """Deploy the gateway: check settings, seed Key Vault, build images, apply, wait, try it."""
    with _session(environment, output) as session:
        # The libraries that this needs take a second to load; the other commands go without.
        from scripts.deploy.workload import Options, deploy_workload, describe

        options = Options(
            deploy_e2e, local_docker, azure_openai=not no_azure_openai, image_build=not no_image_build
        )
        mode = _mode(plan, yes)
        require_an_answer(session.screen, mode)
        deployed = deploy_workload(session, mode, options)
        session.screen.result("workload", *describe(deployed))
        raise typer.Exit(deployed.outcome.ended.exit_code)


class Target(StrEnum):
    """What to destroy."""

    ALL = "all"
    WORKLOAD = "workload"
    FOUNDRY = "foundry"
    PLATFORM = "platform"
    OBSERVABILITY = "observability"
    BOOTSTRAP = "bootstrap"


def destroy(
    target: Annotated[Target, typer.Argument(help="A stack, or all of them, the last one first.")],
    environment: Environment,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Take a stack, or everything, away again."""
    with _session(environment, output) as session:
        mode = _mode(plan, yes)
        require_an_answer(session.screen, mode)
        names = list(STACKS) if target is Target.ALL else [target.value]
        rows = destroy_stacks(session, names, mode)
        shown = [{"stack": row.stack, "resources": row.resources, "result": row.result} for row in rows]
        session.screen.result("destroy", {}, {"stacks": shown})
        pending = mode is Mode.PLAN and any(row.resources for row in rows)
        kept = any(row.result == "kept" for row in rows)
        raise typer.Exit(ExitCode.CHANGES if pending else ExitCode.FAILED if kept else ExitCode.DONE)


def doctor(environment: Environment, output: Output = OutputFormat.TABLE) -> None:
    """Look at tools, settings, login, roles, registrations, names and quota before a deployment."""
    with _session(environment, output) as session:
        from scripts.deploy.check_result import Verdict
        from scripts.deploy.doctor import examine

        findings = examine(session)
        rows = [
            {"check": item.check, "verdict": item.verdict.value, "found": item.found, "remedy": item.remedy}
            for item in findings
        ]
        session.screen.result("doctor", {}, {"checks": rows}, below="remedy")
        bad = any(item.verdict is Verdict.BAD for item in findings)
        raise typer.Exit(ExitCode.NOT_READY if bad else ExitCode.DONE)


def status(environment: Environment, output: Output = OutputFormat.TABLE) -> None:
    """Show which stacks are deployed and how the gateway does."""
    with _session(environment, output) as session:
        facts, rows, failure = overview(session)
        session.screen.result("status", facts, {"stacks": rows})
        if failure is not None:
            raise failure


def _entry(command: Callable[..., None]) -> Callable[[], None]:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command(epilog=EXIT_CODES, no_args_is_help=False)(command)

    def main() -> None:
        app()

    return main


main_bootstrap = _entry(bootstrap)
main_observability = _entry(observability)
main_platform = _entry(platform)
main_foundry = _entry(foundry)
main_workload = _entry(workload)
main_destroy = _entry(destroy)
main_doctor = _entry(doctor)
main_status = _entry(status)
