"""What is printed when the gateway serves: its addresses, its backends and clients, and a call that works."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from renderer import Settings
from renderer.model.backends import Backend
from renderer.model.clients import Client
from scripts.engines import Gateway
from scripts.live.tables import plain
from scripts.local_gateway.first_call import first_call
from scripts.local_gateway.sources import Loaded, Sources
from scripts.local_trust import ways_to_trust

if TYPE_CHECKING:
    from scripts.local_authority import LocalAuthority

MOST_ROWS = 20
_LIMITS = {
    "requests_per_minute": "{:,} requests a minute",
    "tokens_per_minute": "{:,} tokens a minute",
}
_UNITS = {"tokens": "{:,.0f} tokens", "usd": "{:,.2f} USD"}


@dataclass(frozen=True)
class Started:
    """A gateway that serves, and how it came to be."""

    gateway: Gateway
    why: str
    """Why it runs on this engine."""
    loaded: Loaded
    sources: Sources
    authority: LocalAuthority | None
    uses_azure_cli: bool
    follows_file: bool


def show(started: Started, console: Console) -> None:
    """Prints all of it. No key is in it."""
    gateway, settings = started.gateway, started.loaded.settings
    console.print(f"[bold green]The gateway serves at {gateway.url}[/]")
    for label, texts in _facts(started):
        for position, text in enumerate(texts):
            console.print(Text(f"  {'' if position else label:8} {text}"))
    _table(console, "Backends", [_backend_cells(backend) for backend in settings.backends])
    _table(
        console, "Clients", [_client_cells(client) for client in settings.clients] or [[_nobody(settings)]]
    )
    console.print("\nTry it:", style="bold")
    pem = started.authority.pem if started.authority is not None else None
    for line in first_call(gateway.url, started.loaded, started.sources, pem):
        console.print(Text(f"  {line}", style="cyan"))
    console.print("\nStop it with Ctrl-C.")


def _facts(started: Started) -> Iterable[tuple[str, list[str]]]:
    gateway = started.gateway
    engine = [f"{gateway.engine} ({started.why})"]
    if gateway.engine == "embedded":
        engine.append("the embedded engine is for development and tests")
    yield "engine", engine
    file = started.sources.env_file
    if file is not None:
        followed = ["its changes are applied while the gateway runs"] if started.follows_file else []
        yield "settings", [str(file), *followed]
    if started.authority is not None:
        yield "tls", ways_to_trust(started.authority)
    if started.uses_azure_cli:
        yield "identity", ["the login of the Azure CLI, in the place of managed identities"]
    if gateway.live_url is not None:
        yield "live", [gateway.live_url]
    yield "metrics", [gateway.metrics_url]
    yield "status", [gateway.status_url]
    yield "files", [str(gateway.directory)]
    yield "logs", [str(gateway.error_log), str(gateway.access_log)]


def _backend_cells(backend: Backend) -> list[str]:
    """For example `eastus`, `contoso.openai.azure.com`, `priority 10`, `weight 1`, `key`, `openai`."""
    return [
        backend.name,
        urlsplit(str(backend.endpoint)).netloc,
        f"priority {backend.priority}",
        f"weight {backend.weight}" + (" (drained)" if backend.weight == 0 else ""),
        backend.auth,
        ", ".join(backend.surfaces),
    ]


def _client_cells(client: Client) -> list[str]:
    """For example `team-a`, `2 keys`, `60 requests a minute, 5,000,000 tokens a day`."""
    ways = [f"{len(client.keys)} keys" if len(client.keys) > 1 else "key"] if client.keys else []
    ways += ["Entra ID application"] if client.app_id is not None else []
    limits = [text.format(amount) for field, text in _LIMITS.items() if (amount := getattr(client, field))]
    limits += [f"{_UNITS[one.unit].format(one.limit)} a {one.period}" for one in client.budgets]
    limits += [f"only {', '.join(client.deployments)}"] if client.deployments else []
    limits += [f"lane {client.lane}"] if client.lane else []
    return [client.name, " and ".join(ways), ", ".join(limits).replace("a hour", "an hour") or "no limits"]


def _nobody(settings: Settings) -> str:
    if not settings.gateway.require_auth:
        return "everybody who reaches the gateway: it asks for no key"
    return "the applications of Entra ID that are allowed"


def _table(console: Console, title: str, rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns; texts of the settings stay plain text."""
    console.print(f"\n{title}", style="bold")
    shown = [[plain(cell) for cell in row] for row in rows[:MOST_ROWS]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        console.print(Text("  ").append(cells[0], style="bold").append("  ".join(["", *cells[1:]]).rstrip()))
    if len(rows) > MOST_ROWS:
        console.print(f"  and {len(rows) - MOST_ROWS} more")
