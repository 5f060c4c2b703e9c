"""What the operator sees: progress on stderr, results on stdout, secrets on neither of them."""

from __future__ import annotations

import io
import json
import os
import re
import select
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.deploy.activity import Activity, elapsed
from scripts.deploy.deploy_errors import DeployError, InvalidSettingsError
from scripts.deploy.silence import Silence
from scripts.terraform import Change

MASK = "••••••"
_INTERRUPT_SECONDS = 0.2
_SHORTEST_SECRET = 6  # a shorter text occurs by chance; the settings model refuses it as a key


class OutputFormat(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    DOTENV = "dotenv"


_STYLES = {"create": "green", "update": "yellow", "replace": "magenta", "delete": "red"}


class Screen:
    """Prints progress and results. Every text goes through `mask`."""

    def __init__(self, output: OutputFormat = OutputFormat.TABLE) -> None:
        self.output = output
        self._secrets: set[str] = set()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal without ✓ shows ?
        # Output into a file or a CI log is not folded into 80 columns.
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
        self._progress = Console(stderr=True, highlight=False, soft_wrap=True)
        self._results = Console(highlight=False, soft_wrap=True, width=width)
        self.activity = Activity(self._progress)
        self._silence = Silence()

    def hide(self, secrets: Iterable[str]) -> None:
        """Never print these values."""
        self._secrets |= {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}

    def mask(self, text: str) -> str:
        """The text with every hidden value replaced: `key abc123` gives `key ••••••`."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    # -- progress

    def say(self, text: str, style: str = "") -> None:
        """Print a line of progress."""
        self._progress.print(escape(self.mask(text)), style=style)
        self._silence.broken()

    def done(self, text: str) -> None:
        """Print that something is right."""
        self.say(f"✓ {text}", "green")

    def warn(self, text: str) -> None:
        """Print something that the operator should know but that does not stop the command."""
        self.say(f"! {text}", "yellow")

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show that the command works, until it ends, whenever no step tells more."""
        if self.activity.is_shown:
            with self.activity.step(self.mask(what)):
                yield
        else:
            with self._silence.broken_by(lambda: self.say(f"{what} …", "dim"), self.activity.has_steps):
                yield

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print the title of a part of the work when it starts, and its duration when it succeeds."""
        self.say(f"▸ {title}", "bold")
        started = time.monotonic()
        with self.activity.step(self.mask(title)):
            yield
        self.say(f"  {elapsed(time.monotonic() - started)}", "dim")

    def event(self, event: Mapping[str, Any]) -> None:
        """Show an event of a running Terraform: a resource that changes, or a warning."""
        kind = event.get("type")
        self.activity.event(event)
        if kind == "apply_progress" and self.activity.is_shown:
            return
        if kind in {"apply_start", "apply_complete", "apply_progress", "apply_errored"}:
            self.say(f"  {event.get('@message', '')}", "dim" if kind == "apply_progress" else "")
        elif kind == "diagnostic" and event["diagnostic"].get("severity") == "warning":
            self.warn(str(event["diagnostic"].get("summary", "")))

    def changes(self, changes: Sequence[Change]) -> None:
        """Show what a plan would do, one line for each resource."""
        if not changes:
            self.say("  only outputs change")
        for change in changes:
            self.say(f"  {change.action:8} {change.address}", _STYLES.get(change.action, ""))

    def failure(self, error: DeployError) -> None:
        """Show why the command stopped and what to do."""
        self.say(f"✗ {error.message}", "bold red")
        for detail in error.details:
            self.say("  " + detail.replace("\n", "\n  "))
        if error.remedy:
            self.say(f"→ {error.remedy}", "cyan")

    # -- questions

    @staticmethod
    def is_interactive() -> bool:
        """Whether an operator can answer questions."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def require_terminal(self) -> None:
        """Raise `InvalidSettingsError` when nobody can answer a question."""
        if not self.is_interactive():
            raise InvalidSettingsError(
                "There is no terminal to ask for a confirmation.",
                remedy="Add --yes to go ahead without a question, or --plan to look only.",
            )

    def confirm(self, question: str) -> bool:
        """Ask for a yes. Raises `InvalidSettingsError` without a terminal."""
        return self._ask(f"{question} [y/N] ").lower() in {"y", "yes"}

    def confirm_by_typing(self, question: str, expected: str) -> bool:
        """Ask for a word to be typed. Raises `InvalidSettingsError` without a terminal."""
        return self._ask(f"{question} Type {expected!r} to go on: ") == expected

    def _ask(self, prompt: str) -> str:
        self.require_terminal()
        with self.activity.hidden():
            self._progress.print(escape(self.mask(prompt)), end="")
            # A blocking read would delay an interrupt that comes just before it until the next key.
            while not select.select([sys.stdin], [], [], _INTERRUPT_SECONDS)[0]:
                pass
            return sys.stdin.readline().strip()

    # -- results

    def result(
        self,
        title: str,
        values: Mapping[str, Any],
        tables: Mapping[str, Sequence[Mapping[str, Any]]],
        below: str = "",
    ) -> None:
        """Print the result of a command: single values, and tables of rows.

        The column named `below` is printed below its table, one line for each row that has a value: a command
        for the operator to type cannot be copied out of a cell.
        """
        with self.activity.hidden():
            self._result(title, values, tables, below)

    def _result(
        self,
        title: str,
        values: Mapping[str, Any],
        tables: Mapping[str, Sequence[Mapping[str, Any]]],
        below: str,
    ) -> None:
        if self.output is OutputFormat.JSON:
            self._write(json.dumps({**values, **tables}, indent=2, ensure_ascii=False))
        elif self.output is OutputFormat.DOTENV:
            self._write(
                "\n".join(f"{_variable(name)}={_shell(value)}" for name, value in _flat({**values, **tables}))
            )
        else:
            self._table(
                title, ["", ""], [[name, _cell(value)] for name, value in values.items()], header=False
            )
            for name, rows in tables.items():
                if rows:
                    columns = [column for column in rows[0] if column != below]
                    self._table(
                        name, columns, [[_cell(row.get(column)) for column in columns] for row in rows]
                    )
                    for row in rows:
                        if row.get(below):
                            line = self.mask(f"→ {row[columns[0]]}: {row[below]}")
                            self._results.print(escape(line), style="cyan")

    def _write(self, text: str) -> None:
        sys.stdout.write(self.mask(text) + "\n")
        sys.stdout.flush()

    def _table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, header: bool = True
    ) -> None:
        table = Table(title=title, title_justify="left", show_header=header, title_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(escape(self.mask(cell)) for cell in row))
        if table.row_count:
            self._results.print(table)


def counted(items: Sized, noun: str) -> str:
    """A number with its noun: one item and `backend` give `1 backend`, two give `2 backends`."""
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}_{key}", item) for key, item in _flat(value))
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            for index, item in enumerate(value):
                yield from ((f"{name}_{index}_{key}", inner) for key, inner in _flat(item))
        else:
            yield name, value


def _variable(name: str) -> str:
    """A name that a shell accepts."""
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())


def _shell(value: Any) -> str:
    if value is None:
        return ""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = (
        str(value).lower() if isinstance(value, bool) else text.replace("\n", " ")
    )  # one line for each variable
    safe = all(character.isalnum() or character in "-_./:@,+=%" for character in text)
    return text if safe else "'" + text.replace("'", "'\"'\"'") + "'"
