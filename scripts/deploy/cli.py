"""The commands: their options, exit codes and results. Other modules do the work."""

from __future__ import annotations

import difflib
import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from renderer.version import VersionedCommand, VersionedGroup
from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.bootstrap import deploy_bootstrap
from scripts.deploy.console import OutputFormat, Screen
from scripts.deploy.deploy_errors import DeployError, ExitCode, InvalidSettingsError
from scripts.deploy.deployment import Ended, Mode, deploy
from scripts.deploy.destroy import destroy as destroy_stacks
from scripts.deploy.example import example_of, write_new
from scripts.deploy.explanations import explain
from scripts.deploy.layout import STACKS, Layout, Stack, environments
from scripts.deploy.session import Session
from scripts.deploy.settings_files import SettingsFiles
from scripts.deploy.status import overview
from scripts.deploy.tfvars import is_placeholder, read_tfvars
from scripts.deploy.unpacked import keep_out_of_git
from scripts.deploy.waiting import Waiter
from scripts.interrupts import stopping_cleanly
from scripts.terraform import TerraformError, TerraformMissingError

if TYPE_CHECKING:
    from scripts.deploy.workload import Options
    from scripts.live.events import LiveError

LOCAL_URL = "http://127.0.0.1:9080"

# Without this the help shows `<bool>`, as if a value had to follow.
_flag = partial(typer.Option, metavar="")

logging.getLogger("azure").addHandler(logging.NullHandler())  # the commands report each failure once

Environment = Annotated[
    str,
    typer.Argument(
        envvar="GATEWAY_ENVIRONMENT",
        help="Which environments/<environment>.tfvars to use, for example dev.",
        metavar="ENV",
        autocompletion=environments,
    ),
]
PlanOnly = Annotated[bool, _flag("--plan", help="Show what would change; exit code 10 if anything.")]
Yes = Annotated[bool, _flag("--yes", "-y", help="Do it without a question.")]
Output = Annotated[
    OutputFormat, typer.Option("--output", "-o", help="How the result is printed on standard output.")
]

EXIT_CODES = (
    "Exit codes: 0 done or nothing to do, 1 failed, 2 invalid settings or options, 3 Key Vault, 4 something "
    "has to be there first, 5 state locked, 10 --plan found changes, 130 interrupted."
)


def _chosen_mode(plan: bool, yes: bool) -> Mode:
    """The mode that the options ask for."""
    if plan and yes:
        raise InvalidSettingsError("--plan and --yes cannot be used together.")
    return Mode.PLAN if plan else Mode.YES if yes else Mode.ASK


def _require_answers(session: Session, mode: Mode, stacks: Sequence[Stack], options: Options | None) -> None:
    """Complain before any work when nobody could answer a question.

    What is wrong with the settings comes first: with `--yes` it would be the next error.
    """
    if mode is Mode.ASK and not session.screen.is_interactive():
        from scripts.deploy.up import check_settings

        check_settings(session, stacks, options)
        session.screen.require_terminal()


@contextmanager
def _session(environment: str, output: OutputFormat) -> Iterator[Session]:
    """Open a session. An error ends the process with its message and exit code, never with a traceback."""
    screen = Screen(output)
    try:
        with stopping_cleanly():
            if not (environment.isascii() and environment.isalnum() and environment.islower()):
                raise InvalidSettingsError(
                    "ENV, the environment, must be lower-case letters and digits, for example dev."
                )
            layout = Layout.find(environment)
            _tell_of_earlier_files(layout, screen)
            session = Session(
                layout, screen, AzureCli(subscription_id=subscription_of(layout)), Waiter(screen)
            )
            with screen.busy(f"{environment}: reading settings and states, asking Azure"):
                yield session
    except DeployError as error:
        screen.failure(error)
        raise typer.Exit(error.exit_code) from None
    except (TerraformError, TerraformMissingError) as error:
        explanation = explain(error, "stacks")
        screen.failure(explanation)
        raise typer.Exit(explanation.exit_code) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of the output is gone, so nobody would see a message
            raise typer.Exit(ExitCode.FAILED) from None
        place = f" {error.filename}" if error.filename else ""
        screen.failure(DeployError(f"The system reports an error{place}: {error.strerror or error}."))
        raise typer.Exit(ExitCode.FAILED) from None
    except KeyboardInterrupt:
        screen.failure(DeployError("Stopped.", remedy="Run the command again to go on from here."))
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def subscription_of(layout: Layout) -> str | None:
    """The subscription for calls of `az`: from the first file that names one, else from the environment."""
    files = SettingsFiles(layout)
    for path in dict.fromkeys(path for stack in STACKS.values() for path in files.paths(stack)):
        with suppress(InvalidSettingsError):  # the command reports it when it reads these settings
            value = read_tfvars(path).get("subscription_id")
            if isinstance(value, str) and not is_placeholder(value):
                return value
    return os.environ.get("ARM_SUBSCRIPTION_ID")


def _tell_of_earlier_files(layout: Layout, screen: Screen) -> None:
    earlier = SettingsFiles(layout).earlier()
    if earlier:
        names = ", ".join(f"{path.parent.name}/{path.name}" for path in earlier)
        screen.warn(
            f"{names} can still be read, but one file is enough: move each into its stack's section in "
            f"{layout.settings}"
        )


def _stack_command(name: str, purpose: str) -> Callable[..., None]:
    """The command of a stack that takes nothing but the common options."""

    def command(
        environment: Environment,
        plan: PlanOnly = False,
        yes: Yes = False,
        output: Output = OutputFormat.TABLE,
    ) -> None:
        with _session(environment, output) as session:
            mode = _chosen_mode(plan, yes)
            _require_answers(session, mode, [STACKS[name]], None)
            outcome = (
                deploy_bootstrap(session, mode)
                if name == "bootstrap"
                else deploy(session, STACKS[name], mode)
            )
            session.screen.result(name, {"result": outcome.ended.name.lower(), **outcome.values()}, {})
            raise typer.Exit(outcome.ended.exit_code)

    command.__doc__ = purpose
    return command


bootstrap = _stack_command("bootstrap", "Make the storage that keeps the Terraform state.")
observability = _stack_command("observability", "Deploy logs, traces, metrics and alerts.")
platform = _stack_command("platform", "Deploy registry, Key Vault, identity and Container Apps environment.")
foundry = _stack_command("foundry", "Deploy model accounts and their deployments.")


def workload(
    environment: Environment,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Output = OutputFormat.TABLE,
    deploy_e2e: Annotated[
        bool, _flag("--deploy-e2e", help="Deploy the end-to-end stage: simulators instead of real backends.")
    ] = False,
    local_docker: Annotated[
        bool, _flag("--local-docker", help="Build images on this machine, not in the registry.")
    ] = False,
    no_azure_openai: Annotated[
        bool, _flag("--no-azure-openai", help="Do not use the accounts of the foundry stack.")
    ] = False,
    no_image_build: Annotated[
        bool, _flag("--no-image-build", help="Build no images: they are in the registry already.")
    ] = False,
    refresh_images: Annotated[
        bool,
        _flag("--refresh-images", help="Import again what our images are built on, and build what changes."),
    ] = False,
) -> None:
    """Deploy the gateway: check settings, seed Key Vault, build images, apply, wait, send a request."""
    with _session(environment, output) as session:
        # Its libraries take a second to load, so the other commands do without them.
        from scripts.deploy.workload import Options, deploy_workload, describe

        options = Options(
            deploy_e2e,
            local_docker,
            azure_openai=not no_azure_openai,
            image_build=not no_image_build,
            refresh_images=refresh_images,
        )
        mode = _chosen_mode(plan, yes)
        _require_answers(session, mode, [STACKS["workload"]], options)
        deployed = deploy_workload(session, mode, options)
        session.screen.result("workload", *describe(deployed))
        raise typer.Exit(deployed.outcome.ended.exit_code)


def init(environment: Environment) -> None:
    """Make the file with the settings of an environment from the example."""
    with _session(environment, OutputFormat.TABLE) as session:
        path = session.layout.settings
        if session.layout.own:
            keep_out_of_git(path.parent, "*.tfvars")
        write_new(path, example_of(environment, session.az.subscription()))
        session.screen.done(f"{path} is there: random keys are in it, and only you can read it")
        session.screen.say(
            f"Read it through, fill in what is in <brackets>, then: aoai-gateway deploy up {environment}"
        )


def up(
    environment: Environment, plan: PlanOnly = False, yes: Yes = False, output: Output = OutputFormat.TABLE
) -> None:
    """Deploy all stacks that have settings, in order: look at all, ask once, deploy, send a request."""
    with _session(environment, output) as session:
        from scripts.deploy.up import deploy_up, stacks_with_settings
        from scripts.deploy.workload import first_call

        mode = _chosen_mode(plan, yes)
        _require_answers(session, mode, stacks_with_settings(session), None)
        done = deploy_up(session, mode)
        url = done.gateway.outcome.values().get("gateway_url") if done.gateway else None
        session.screen.result("up", {"result": done.ended.name.lower(), "url": url}, {"stacks": done.rows})
        if done.gateway and url and done.ended in {Ended.APPLIED, Ended.UNCHANGED}:
            session.screen.say(f"\nTry it:\n{first_call(done.gateway, session)}")
        raise typer.Exit(done.ended.exit_code)


class Target(StrEnum):
    """What to destroy."""

    ALL = "all"
    WORKLOAD = "workload"
    FOUNDRY = "foundry"
    PLATFORM = "platform"
    OBSERVABILITY = "observability"
    BOOTSTRAP = "bootstrap"


_TARGETS = [target.value for target in Target]


def _target(word: str) -> str:
    """Refuse what is no target. Most often that is an environment: `destroy dev`."""
    if word in _TARGETS:
        return word
    close = difflib.get_close_matches(word.lower(), _TARGETS, n=1)
    if close:
        raise typer.BadParameter(f"{word!r} is no stack. Did you mean {close[0]}?")
    raise typer.BadParameter(
        f"{word!r} is no stack. To remove all of an environment {word}: aoai-gateway destroy all {word}. "
        f"To remove one stack of it: aoai-gateway destroy workload {word}. The stacks are "
        f"{', '.join(_TARGETS[1:])}."
    )


def _targets(incomplete: str) -> list[str]:
    """What a shell completes a target to."""
    return [target for target in _TARGETS if target.startswith(incomplete)]


def destroy(
    target: Annotated[
        str,
        typer.Argument(
            help=f"all, in reverse order, or one stack: {', '.join(_TARGETS[1:])}.",
            metavar="TARGET",
            callback=_target,
            autocompletion=_targets,
        ),
    ],
    environment: Environment,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Remove a stack, or all of them."""
    with _session(environment, output) as session:
        mode = _chosen_mode(plan, yes)
        if mode is Mode.ASK:
            session.screen.require_terminal()
        names = list(STACKS) if target == Target.ALL else [target]
        rows = destroy_stacks(session, names, mode)
        shown = [{"stack": row.stack, "resources": row.resources, "result": row.result} for row in rows]
        session.screen.result("destroy", {}, {"stacks": shown})
        pending = mode is Mode.PLAN and any(row.resources for row in rows)
        kept = any(row.result == "kept" for row in rows)
        raise typer.Exit(ExitCode.CHANGES if pending else ExitCode.FAILED if kept else ExitCode.DONE)


def doctor(
    environment: Environment,
    output: Output = OutputFormat.TABLE,
    strict: Annotated[
        bool, _flag("--strict", help="Exit with 2 when a setting is valid, but cannot work as written.")
    ] = False,
) -> None:
    """Check tools, settings, login, roles, registrations, names and quota before a deployment."""
    with _session(environment, output) as session:
        from scripts.deploy.check_result import Verdict
        from scripts.deploy.doctor import examine

        results = examine(session)
        rows = [
            {"check": item.check, "verdict": item.verdict.value, "found": item.found, "remedy": item.remedy}
            for item in results
        ]
        session.screen.result("doctor", {}, {"checks": rows}, below="remedy")
        verdicts = {item.verdict for item in results}
        doubtful = strict and Verdict.WARNING in verdicts
        raise typer.Exit(
            ExitCode.NOT_READY if Verdict.BAD in verdicts else ExitCode.INVALID if doubtful else ExitCode.DONE
        )


def status(
    environment: Annotated[
        str,
        typer.Argument(
            envvar="GATEWAY_ENVIRONMENT",
            help="As for the other commands.",
            metavar="[ENV]",
            autocompletion=environments,
        ),
    ] = "",
    output: Output = OutputFormat.TABLE,
    live: Annotated[
        bool,
        _flag(
            "--live",
            help="Show what the gateway does now, as its live page does: that of ENV, else the one on this "
            "machine. GATEWAY_KEY is a client's key, where it needs one.",
        ),
    ] = False,
    url: Annotated[str | None, typer.Option("--url", help="With --live: the address of the gateway.")] = None,
) -> None:
    """Show which stacks are deployed and whether the gateway runs, or what it does now."""
    if live and (url or not environment):
        _ask_live(Screen(output), url or LOCAL_URL, _show_live, _explained_here)
        return
    with _session(environment, output) as session:
        if live:
            from scripts.deploy.live_status import explained, gateway_url

            _ask_live(session.screen, gateway_url(session), _show_live, partial(explained, session))
            return
        facts, rows, failure = overview(session)
        session.screen.result("status", facts, {"stacks": rows})
        if failure is not None:
            raise failure


def usage(
    environment: Annotated[
        str,
        typer.Argument(
            envvar="GATEWAY_ENVIRONMENT",
            help="As for the other commands.",
            metavar="[ENV]",
            autocompletion=environments,
        ),
    ] = "",
    output: Output = OutputFormat.TABLE,
    url: Annotated[
        str | None,
        typer.Option("--url", help="The address of the gateway: else that of ENV or this machine."),
    ] = None,
) -> None:
    """Show who has used what of which budget. GATEWAY_KEY is a client's key: each client sees its own."""
    if url or not environment:
        _ask_live(Screen(output), url or LOCAL_URL, _show_usage, _explained_here)
        return
    with _session(environment, output) as session:
        from scripts.deploy.live_status import explained, gateway_url

        _ask_live(session.screen, gateway_url(session), _show_usage, partial(explained, session))


def _show_usage(screen: Screen, url: str, key: str | None) -> None:
    from scripts.live.tables import budgets_table
    from scripts.live.watching import one_look

    look = one_look(url, key)
    if screen.output is not OutputFormat.TABLE:
        screen.result("usage", {}, {"budgets": look["budgets"]})
    elif look["budgets"]:
        Console(highlight=False).print(budgets_table(look))
    else:
        Console(highlight=False).print("No client has a budget." if look["scope"] == "all" else "No budget.")


def _show_live(screen: Screen, url: str, key: str | None) -> None:
    from scripts.live.tables import rates
    from scripts.live.watching import one_picture, watch

    if screen.output is OutputFormat.TABLE:
        watch(url, key, Console(highlight=False))
        return
    picture = one_picture(url, key)
    names = ("backends", "budgets")
    tables = {name: picture.look[name] for name in names} | {"requests": picture.requests}
    screen.result("live", rates(picture), tables)


def _explained_here(error: LiveError) -> DeployError:
    """The error of a gateway that no environment names."""
    nobody = (
        "aoai-gateway run starts a gateway; --url or ENV names another one." if error.status is None else ""
    )
    return DeployError(str(error), remedy=nobody)


def _ask_live(
    screen: Screen,
    url: str,
    show: Callable[[Screen, str, str | None], None],
    explain_live: Callable[[LiveError], DeployError],
) -> None:
    # Loads an HTTP client, which the other commands do without.
    from scripts.live.events import LiveError

    key = os.environ.get("GATEWAY_KEY")
    screen.hide([key] if key else [])
    try:
        with screen.activity.hidden():
            show(screen, url.rstrip("/"), key)
    except LiveError as error:
        screen.failure(explain_live(error))
        raise typer.Exit(ExitCode.FAILED) from None
    except KeyboardInterrupt:
        # The usual way to leave.
        raise typer.Exit(ExitCode.DONE) from None


_new_app = partial(typer.Typer, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


def _program(command: Callable[..., None]) -> typer.Typer:
    """A program of one command. A call runs it."""
    app = _new_app()
    app.command(epilog=EXIT_CODES, cls=VersionedCommand)(command)
    return app


def _group(purpose: str, **commands: Callable[..., None]) -> typer.Typer:
    """A program of several commands, which are chosen by their names. A call runs it."""
    app = _new_app(cls=VersionedGroup, help=purpose, no_args_is_help=True)
    for name, command in commands.items():
        app.command(name, epilog=EXIT_CODES)(command)
    return app


main_bootstrap = _program(bootstrap)
main_observability = _program(observability)
main_platform = _program(platform)
main_foundry = _program(foundry)
main_workload = _program(workload)
main_deploy = _group(
    "Deploy the gateway to Azure: all stacks with `up`, or one of them.",
    init=init,
    up=up,
    bootstrap=bootstrap,
    observability=observability,
    platform=platform,
    foundry=foundry,
    workload=workload,
)
main_destroy = _program(destroy)
main_doctor = _program(doctor)
main_status = _program(status)
main_usage = _program(usage)
