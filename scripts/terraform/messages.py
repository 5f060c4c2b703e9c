"""Reads what Terraform prints: JSON events (`-json`), or plain text where a command has no such option."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Result:
    """One finished run: its exit code, everything that it printed, and the JSON events among that."""

    code: int
    out: str
    err: str
    events: tuple[Mapping[str, Any], ...] = ()


class Change(NamedTuple):
    """One resource that a plan would touch: what would be done (such as create), and its address."""

    action: str
    address: str


@dataclass(frozen=True, slots=True)
class StateLock:
    """Who holds a state, as Terraform reports it. A field is empty where the backend does not say."""

    id: str = ""
    path: str = ""
    operation: str = ""
    who: str = ""
    created: str = ""


def parse_event(line: str) -> Mapping[str, Any] | None:
    """An event of `-json` output; None for any other line.

    `{"@level": "info", "type": "apply_start"}` gives that dictionary, `Initializing...` gives None.
    """
    return parse_object(line) or None if line.startswith('{"@') else None


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object; empty for any other text: `{"a": 1}` gives `{"a": 1}`, `[1]` gives `{}`."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# A plan also lists resources that it only reads or leaves as they are.
_ACTIONS = {"create", "update", "replace", "delete", "import", "move", "forget"}


def planned_changes(events: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    """The changes among the events of a plan.

    `{"type": "planned_change", "change": {"action": "create", "resource": {"addr": "a.b"}}}` gives
    `Change("create", "a.b")`.
    """
    planned = (event["change"] for event in events if event.get("type") == "planned_change")
    return tuple(
        Change(change["action"], change["resource"]["addr"])
        for change in planned
        if change["action"] in _ACTIONS
    )


def diagnostics(result: Result) -> list[str]:
    """Why a run failed, in Terraform's own words: one paragraph for each error, never an empty list.

    The plain text `╷\\n│ Error: No token\\n│\\n│ Log in.\\n╵` gives `["No token\\n\\nLog in."]`.
    """
    found = [event["diagnostic"] for event in result.events if event.get("type") == "diagnostic"]
    errors = [item for item in found if item.get("severity") == "error"]
    texts = ["\n".join(filter(None, [_headline(item), item.get("detail", "")])) for item in errors]
    plain = _plain(result.err) or ([] if result.events else _plain(result.out))
    return texts or plain or [f"It ended with code {result.code} and said nothing."]


def _headline(diagnostic: Mapping[str, Any]) -> str:
    where = diagnostic.get("address") or ""
    place = diagnostic.get("range")
    if not where and place:
        where = f"{place['filename']} line {place['start']['line']}"
    summary = str(diagnostic.get("summary", ""))
    return f"{where}: {summary}" if where else summary


_FRAME = re.compile(r"^[╷│╵]\s?", re.MULTILINE)


def _plain(text: str) -> list[str]:
    """The errors in the human-readable output, without the frame around them."""
    blocks = re.split(r"^╵\s*$", text, flags=re.MULTILINE)
    cleaned = [_FRAME.sub("", block).strip() for block in blocks]
    errors = [block for block in cleaned if block.startswith("Error:")]
    return [re.sub(r"^Error: ", "", block) for block in errors] or [block for block in cleaned if block]


def parse_lock(text: str) -> StateLock:
    """The holder of a state lock: `ID: 7\\nWho: alice@host` gives `StateLock(id="7", who="alice@host")`."""
    values = dict(
        re.findall(r"^\s*(ID|Path|Operation|Who|Created):[ \t]*(\S.*?)\s*$", text, flags=re.MULTILINE)
    )
    return StateLock(**{name.lower(): value for name, value in values.items()})
