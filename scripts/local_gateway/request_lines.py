"""A line for each request, made from its record in the access log."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from rich.text import Text

from scripts.live.tables import STYLES, plain, trail

# The gateway's own pages: they are many, and say something only when they fail.
_OWN_ROUTES = ("health-", "live-")
_WORDS = {
    "connect": "no connection to the endpoint",
    "credential": "the backends refuse the gateway's key or identity",
    "dns": "the endpoint's name is unknown",
}
_FEWEST_CHARACTERS = {"client": 12, "deployment": 16, "tokens": 15}
_LONGEST_CHARACTERS = 500

Record = dict[str, Any]


def line_of(logged: str) -> Text | None:
    """The line for a line of the access log; None for one that is not worth it.

    Example: `12:03:04  200  team-a  gpt-4o  9 in, 16 out  $0.000182  12 ms  eastus:429 → westus:200`. What is
    no record, as all lines in log mode dev, stays as it is.
    """
    record = _record(logged)
    if record is None:
        return _as_it_is(logged)
    if record["outcome"] == "success" and str(record.get("route")).startswith(_OWN_ROUTES):
        return None
    try:
        return _line(record)
    except (AttributeError, KeyError, TypeError, ValueError):
        return _as_it_is(logged)


def _as_it_is(logged: str) -> Text | None:
    text = plain(logged, _LONGEST_CHARACTERS)
    return Text(text) if text else None


def _record(logged: str) -> Record | None:
    try:
        record = json.loads(logged)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "outcome" in record else None


def _line(record: Record) -> Text:
    outcome = plain(record["outcome"])
    style = STYLES.get(outcome, "yellow")
    cells = [
        Text(_time(record.get("time")), style="dim"),
        Text(plain(record.get("status")), style=style),
        _padded(plain(record.get("client") or "-"), "client"),
        _padded(plain(record.get("deployment") or _called(record)), "deployment"),
        _padded(_tokens(record.get("tokens")), "tokens"),
        Text(_cost(record.get("cost_usd")).rjust(9)),
        Text(f"{record.get('total_ms', 0):,.0f} ms".rjust(9)),
    ]
    if record.get("attempts"):
        cells.append(trail(record))
    if outcome != "success":
        why = dict.fromkeys([outcome, _reason(record)])
        cells.append(Text(": ".join(filter(None, why)).replace("_", " "), style=style))
    return Text("  ").join(cells)


def _reason(record: Record) -> str:
    """Why the request failed, in words where the record has none or only a term."""
    if not record.get("attempts") and record.get("status") == 401:
        return "no valid key of a client"
    if not record.get("attempts") and record.get("status") == 404:
        return "no backend has this deployment" if record.get("deployment") else "no such path"
    error = plain(record.get("error"))
    return _WORDS.get(error, error)


def _called(record: Record) -> str:
    """What a request without a deployment is for: the operation, else the end of the path."""
    return str(record.get("operation") or "/".join(str(record.get("path")).split("/")[-2:]))


def _padded(cell: str, name: str) -> Text:
    text = Text(cell)
    text.pad_right(max(_FEWEST_CHARACTERS[name] - text.cell_len, 0))
    return text


def _time(text: object) -> str:
    try:
        return datetime.fromisoformat(str(text)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "--:--:--"


def _tokens(tokens: Record | None) -> str:
    """For example `1,200 in (1,024 cached), 16 out`; `about` where they were estimated."""
    if not tokens:
        return "-"
    cached = f" ({tokens['cached']:,.0f} cached)" if tokens.get("cached") else ""
    about = "about " if tokens.get("estimated") else ""
    return f"{about}{tokens.get('prompt') or 0:,.0f} in{cached}, {tokens.get('completion') or 0:,.0f} out"


def _cost(usd: float | None) -> str:
    return "-" if usd is None else f"${usd:.6f}"
