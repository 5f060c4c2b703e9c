"""The tables of one moment: rates, backends, requests. Texts of clients and backends stay plain text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from scripts.live.events import Look, Picture

_MOST_CHARACTERS = 60
_NEARLY = 0.8
_UNITS = {"tokens": "tokens", "usd": "USD"}
STYLES = {
    "ready": "green",
    "success": "green",
    "throttled": "yellow",
    "spent": "yellow",
    "open": "red",
    "server_error": "red",
    "interrupted": "red",
}
"""By outcome of a request, or state of a backend."""
_WORDS = {
    "open": "breaker open",
    "spent": "quota spent",
    "missing": "not deployed",
    "ending": "on trial",
    "half-open": "on trial",
}


def plain(value: object, most_characters: int = _MOST_CHARACTERS) -> str:
    r"""A text that moves no cursor and changes no colour. Example: `a\x1b[31mb` → `a?[31mb`."""
    text = "" if value is None else str(value)
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most_characters])


def tables(picture: Picture, most_rows: int | None = None) -> Group:
    """Everything that there is to see; at most `most_rows` of backends, those that take no requests first."""
    parts: list[RenderableType] = [_rates(picture), _backends(picture, most_rows), _requests(picture)]
    if picture.look.get("budgets"):
        parts.insert(2, budgets_table(picture.look, most_rows))
    return Group(*parts)


def budgets_table(look: Look, most_rows: int | None = None) -> Table:
    """Who has used what of which budget, those of which most is used first."""
    table = Table("client", "budget", "used", "of", "share", "next one begins", title="Budgets")
    shown = look["budgets"][:most_rows]
    hidden = len(look["budgets"]) - len(shown) + look.get("more_budgets", 0)
    table.caption = f"{hidden} more, of which less is used." if hidden else None
    for one in shown:
        style = "red" if one["share"] >= 1 else "yellow" if one["share"] >= _NEARLY else "green"
        ends_at = datetime.fromtimestamp(one["ends_at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(
            Text(plain(one["client"])),
            f"{_UNITS[one['unit']]} a {one['period']}".replace("a hour", "an hour"),
            _amount(one["unit"], one["used"]),
            _amount(one["unit"], one["limit"]),
            Text(f"{one['share']:.0%}", style=style),
            ends_at,
        )
    return table


def _amount(unit: str, amount: float) -> str:
    return f"{amount:,.4f}" if unit == "usd" else f"{amount:,.0f}"


def rates(picture: Picture) -> dict[str, float]:
    """What happened since the first message, per time: see the names.

    Example: `{"requests_per_second": 2.0, "failed": 1, "failovers": 3, "tokens_per_minute": 1200.0,
    "cached_share": 0.25, "cost_usd": 0.02}`
    """
    totals, seconds = picture.totals, max(picture.seconds, 1.0)
    return {
        "requests_per_second": totals["requests"] / seconds,
        "failed": totals["failed"],
        "failovers": totals["failovers"],
        "tokens_per_minute": (totals["prompt"] + totals["completion"]) * 60 / seconds,
        "cached_share": totals["cached"] / totals["prompt"] if totals["prompt"] else 0.0,
        "cost_usd": totals["cost"],
    }


def _rates(picture: Picture) -> Text:
    now = rates(picture)
    parts = [
        f"{now['requests_per_second']:.1f} requests/s",
        f"{now['failed']:.0f} failed",
        f"{now['failovers']:.0f} failovers",
        f"{now['tokens_per_minute']:,.0f} tokens/min",
        f"{now['cached_share']:.0%} cached",
        f"{now['cost_usd']:.4f} USD",
        f"in {picture.seconds:.0f} s",
    ]
    replica = plain(picture.look.get("replica"))
    line = Text("   ".join([*parts, replica] if replica else parts), style="bold")
    return line if picture.lost is None else line.append("   reconnecting", style="red")


def _state(row: dict[str, Any]) -> Text:
    state = plain(row["state"])
    left = f" {row['seconds']:.0f} s" if row.get("seconds") else ""
    return Text(_WORDS.get(state, state) + left, style=STYLES.get(state, ""))


def _quota(pair: dict[str, Any]) -> str:
    left, limit = pair.get("tokens_left"), pair.get("tokens_limit")
    if left is not None and limit:
        return f"{left:,.0f} of {limit:,.0f} tokens"
    if left is not None:
        return f"{left:,.0f} tokens"
    return f"{pair['share_left']:.0%}" if pair.get("share_left") is not None else ""


def _pairs(backend: dict[str, Any]) -> list[dict[str, Any]]:
    return backend["pairs"] or [{"state": backend["state"], "seconds": backend.get("seconds")}]


def _backends(picture: Picture, most_rows: int | None) -> Table:
    table = Table("backend", "region", "priority", "deployment", "state", "quota left", title="Backends")
    rows = [(backend, pair) for backend in picture.look["backends"] for pair in _pairs(backend)]
    if most_rows is not None and len(rows) > most_rows:
        table.caption = f"{len(rows) - most_rows} more rows. A pipe shows all: status --live | less"
        rows = sorted(rows, key=lambda row: row[1]["state"] == "ready")[:most_rows]
    before = None
    for backend, pair in rows:
        name, region, priority = (
            "" if backend is before else plain(backend.get(key)) for key in ("name", "region", "priority")
        )
        cells = [Text(text) for text in (name, region, priority, plain(pair.get("deployment")))]
        table.add_row(*cells, _state(pair), _quota(pair))
        before = backend
    return table


def trail(request: dict[str, Any]) -> Text:
    """The attempts of a request: `eastus:429 → westus:200`, in colour."""
    parts = []
    for attempt in request["attempts"]:
        reason = attempt.get("reason")
        style = "green" if not reason else "yellow" if reason == "throttled" else "red"
        parts.append(Text(f"{plain(attempt['backend'])}:{plain(attempt['status'])}", style=style))
    return Text(" → ").join(parts)


def _requests(picture: Picture) -> Table:
    table = Table(
        "time", "client", "deployment", "result", "trail", "first", "total", "tokens", title="Last requests"
    )
    for request in picture.requests:
        at = datetime.fromtimestamp(request["at"]).strftime("%H:%M:%S")
        outcome = plain(request["outcome"])
        first = request.get("first_token_ms")
        tokens = (request.get("tokens") or {}).get("total")
        table.add_row(
            at,
            Text(plain(request.get("client"))),
            Text(plain(request.get("deployment") or request.get("operation"))),
            Text(f"{plain(request['status'])} {outcome.replace('_', ' ')}", style=STYLES.get(outcome, "")),
            trail(request),
            "" if first is None else f"{first:.0f} ms",
            f"{request['total_ms']:.0f} ms",
            "" if tokens is None else f"{tokens:,.0f}",
        )
    return table
