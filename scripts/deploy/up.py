"""`deploy up`: deploys all stacks of an environment, in their order, after one question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.deploy.bootstrap import deploy_bootstrap, is_on_disk
from scripts.deploy.console import counted
from scripts.deploy.deploy_errors import InvalidSettingsError, NotReadyError
from scripts.deploy.deployment import Ended, Mode, Outcome, deploy
from scripts.deploy.layout import STACKS, Stack
from scripts.deploy.session import Session
from scripts.deploy.value_check import check_missing, check_values
from scripts.deploy.workload import WORKLOAD, Deployed, Options, deploy_workload, read_settings


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done with a stack. `outcome` is None when only the stacks before it can tell."""

    stack: Stack
    is_deployed: bool
    outcome: Outcome | None

    @property
    def is_unchanged(self) -> bool:
        """Whether its plan has no change, as long as no stack before it changes."""
        return self.outcome is not None and self.outcome.ended is Ended.UNCHANGED

    @property
    def summary(self) -> str:
        """The plan in a few words."""
        if not self.is_deployed:
            return "make it"
        if self.outcome is None:
            return "known when the stacks before it are deployed"
        return "no changes" if self.is_unchanged else "change it"


@dataclass(frozen=True, slots=True)
class Up:
    """The result: a row for each stack, how the whole ended, and the gateway when it was deployed."""

    rows: list[dict[str, str]]
    ended: Ended
    gateway: Deployed | None = None


class _Run:
    """One run: remembers what is known of the gateway."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.options = usual_options(session)
        self.gateway: Deployed | None = None

    def deploy(self, stack: Stack, mode: Mode) -> Outcome:
        """Deploy one stack as its own command does."""
        if stack is WORKLOAD:
            self.gateway = deploy_workload(self._session, mode, self.options)
            return self.gateway.outcome
        if stack.name == "bootstrap":
            return deploy_bootstrap(self._session, mode)
        return deploy(self._session, stack, mode)

    def look(self, stack: Stack) -> Planned:
        """What a deployment would do with a stack."""
        # While the state of the storage is on disk, the storage may be half made, with no role to read it.
        has_states = not is_on_disk(self._session) and self._session.has_storage()
        if not has_states or not self._session.has_resources(stack):
            return Planned(stack, is_deployed=False, outcome=None)
        try:
            return Planned(stack, is_deployed=True, outcome=self.deploy(stack, Mode.LOOK))
        except NotReadyError:  # a stack before it has to be deployed first
            return Planned(stack, is_deployed=True, outcome=None)


def deploy_up(session: Session, mode: Mode) -> Up:
    """Look at all stacks, show what there is to do, ask once, and do it. A declined stack ends the run."""
    stacks = stacks_with_settings(session)
    run = _Run(session)
    check_settings(session, stacks, run.options)
    session.az.require()
    planned = [run.look(stack) for stack in stacks]
    for item in planned:
        session.screen.say(f"  {item.stack.name:14} {item.summary}")
    rows = {item.stack.name: "no changes" if item.is_unchanged else item.summary for item in planned}
    to_do = [item for item in planned if not item.is_unchanged]
    if not to_do:
        return _ended(rows, Ended.UNCHANGED, run)
    if not mode.applies:
        return _ended(rows, Ended.PLANNED, run)
    if mode is Mode.ASK:
        if not session.screen.confirm(f"Deploy {counted(to_do, 'stack')}?"):
            return _ended(rows, Ended.DECLINED, run)
        mode = Mode.AGREED
    # A change of one stack may be one for those after it.
    first = planned.index(to_do[0])
    for number, item in enumerate(planned[first:], start=first + 1):
        session.screen.say(f"── {item.stack.name}, {number} of {len(planned)}", "bold")
        ended = run.deploy(item.stack, mode).ended
        rows[item.stack.name] = ended.name.lower()
        if ended is Ended.DECLINED:
            return _ended(rows, ended, run)
    return _ended(rows, Ended.APPLIED, run)


def _ended(rows: dict[str, str], ended: Ended, run: _Run) -> Up:
    return Up([{"stack": name, "result": result} for name, result in rows.items()], ended, run.gateway)


def stacks_with_settings(session: Session) -> list[Stack]:
    """The stacks to deploy."""
    return [stack for stack in STACKS.values() if session.settings.files.hold(stack)]


def usual_options(session: Session) -> Options:
    """The options of the gateway's stack where the command has none: accounts are used if they are set."""
    return Options(azure_openai=session.settings.files.hold(STACKS["foundry"]))


def check_settings(session: Session, stacks: Sequence[Stack], options: Options | None = None) -> None:
    """Raise one error with everything that is wrong with the settings, before anything is asked or done."""
    options = options or usual_options(session)
    found: dict[str, list[Stack]] = {}
    for stack in stacks or [WORKLOAD]:
        for problem in _problems(session, stack, options):
            found.setdefault(problem, []).append(stack)
    if found:
        raise InvalidSettingsError(
            f"The settings of {session.layout.environment} cannot be used:",
            details=[_placed(problem, owners) for problem, owners in found.items()],
        )


def _problems(session: Session, stack: Stack, options: Options) -> Iterator[str]:
    """What is wrong with the settings of a stack: their names first, then their values."""
    values, error = session.settings.look(stack)
    names = error.details if error is not None else ()
    yield from names
    told = {_setting_of(problem) for problem in names}
    yield from (
        problem
        for problem in dict.fromkeys(_of_values(session, stack, values, options))
        if _setting_of(problem) not in told
    )


def _setting_of(problem: str) -> str:
    return problem.partition(" ")[0].rstrip(":")


def _of_values(session: Session, stack: Stack, values: Mapping[str, Any], options: Options) -> Iterator[str]:
    """Each check adds to what those before it have found."""
    if stack is WORKLOAD:
        found = _found_by(lambda: read_settings(session, values, options))
        if not found:
            return  # it includes the other checks
        yield from found
    yield from _found_by(lambda: session.settings.check_agreement(stack, values))
    if stack is not WORKLOAD:
        yield from _found_by(lambda: check_missing(session, stack, values))
    yield from _found_by(lambda: check_values(session, stack, values))


def _found_by(check: Callable[[], object]) -> Sequence[str]:
    """What a check finds wrong. Raises its error where that says nothing of single settings."""
    try:
        check()
    except InvalidSettingsError as error:
        if not error.details:
            raise
        return error.details
    return ()


def _placed(problem: str, owners: Sequence[Stack]) -> str:
    """A problem with the section that it is in; what several stacks complain about stands above them."""
    (name, *others) = [stack.name for stack in owners]
    is_plain = others or name == WORKLOAD.name or problem.startswith(f"{name}.")
    return problem if is_plain else f"{name}.{problem}"
