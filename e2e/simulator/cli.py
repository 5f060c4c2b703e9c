"""``azure-openai-simulator``: serve simulated regions, and script and inspect them while they run."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from e2e.simulator.client import AdminClient
from e2e.simulator.faults import Fault
from e2e.simulator.fleet import Fleet
from e2e.simulator.problems import ProblemsError
from e2e.simulator.settings import Options, Plan, plan

EXIT_INVALID = 2

app = typer.Typer(
    help="Azure OpenAI on your machine: several regions, its wire format, scripted faults, quotas, latency.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
out = Console(emoji=False, highlight=False)
err = Console(stderr=True, emoji=False, highlight=False)

Url = Annotated[
    str, typer.Option(envvar="AZURE_OPENAI_SIMULATOR_URL", help="URL of any region of the running simulator.")
]
AdminKey = Annotated[
    str | None,
    typer.Option(envvar="AZURE_OPENAI_SIMULATOR_ADMIN_KEY", help="Admin key, when it was started with one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
RegionName = Annotated[str, typer.Argument(metavar="REGION", help="Name of the region, for example eastus.")]
DEFAULT_URL = "http://127.0.0.1:8001"


@app.command()
def serve(
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:PORT]",
            help="A region and its port; 0 or none picks a free one. Repeatable. "
            "Default: eastus:8001 and westus:8002.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="AZURE_OPENAI_SIMULATOR_KEY", help="Key of every region: any text, sent as api-key."
        ),
    ] = None,
    key_for: Annotated[
        list[str] | None, typer.Option(metavar="REGION=KEY", help="Key of one region. Repeatable.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="AZURE_OPENAI_SIMULATOR_TOKEN", help="Bearer token accepted as a managed identity's."
        ),
    ] = None,
    deployment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:tpm=N,rpm=N]",
            help="A deployment that every region serves, with its quota per "
            "minute; also model=, token_window_s=, request_window_s=. Repeatable. Default: any name.",
        ),
    ] = None,
    latency_ms: Annotated[float | None, typer.Option(help="Milliseconds before the first byte.")] = None,
    token_latency_ms: Annotated[float | None, typer.Option(help="Milliseconds before each token.")] = None,
    jitter: Annotated[float | None, typer.Option(help="Share by which latencies vary, 0 to 1.")] = None,
    answer_tokens: Annotated[int | None, typer.Option(help="Length of generated answers in tokens.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of jitter and fault probabilities.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    admin_key: Annotated[
        str | None,
        typer.Option(
            envvar="AZURE_OPENAI_SIMULATOR_ADMIN_KEY",
            help="Key of the admin API. Without one it answers to loopback only.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with all of this and more; options win.")
    ] = None,
) -> None:
    """Serve simulated regions until interrupted.

    [bold]Example:[/bold] azure-openai-simulator serve --key local --region eastus:8001 --region westus:8002
    --deployment gpt-4o:tpm=10000,rpm=60
    """
    options = Options(
        config=config,
        regions=region or (),
        keys_for=key_for or (),
        deployments=deployment or (),
        values={
            "key": key,
            "token": token,
            "admin_key": admin_key,
            "host": host,
            "answer_tokens": answer_tokens,
            "seed": seed,
        },
        latency={"first_byte_ms": latency_ms, "per_token_ms": token_latency_ms, "jitter": jitter},
    )
    with _problems_reported():
        asyncio.run(_serve(plan(options)))


async def _serve(what: Plan) -> None:
    fleet = Fleet(what.regions, what.host, what.admin_key)
    try:
        await fleet.open()
    except OSError as error:
        raise ProblemsError(
            [f"cannot listen on {what.host}: {error.strerror}; choose another port or host"]
        ) from None
    for name, faults in what.faults.items():
        await fleet.servers[name].add_faults(faults)
    _print_regions(what, fleet)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    fleet.shut()


def _print_regions(what: Plan, fleet: Fleet) -> None:
    table = _table("region", "endpoint", "x-ms-region", "deployments")
    for name, server in fleet.servers.items():
        names = server.state.deployment_names()
        endpoint = f"http://{what.host}:{server.listener.port}"
        table.add_row(name, endpoint, server.region.location, "any" if names is None else ", ".join(names))
    out.print(table)
    out.print("serving; Ctrl-C stops it")
    out.file.flush()


_FAULT_FIELDS = "\n\n".join(
    f"[bold]{name}[/bold]: {escape(info.description or '')}" for name, info in Fault.model_fields.items()
)
_FAULT_HELP = f"""Script a fault: the next requests that match it go wrong.

[bold]Examples:[/bold]

fault eastus status=429 retry_after=5 count=3

fault eastus reset deployment=gpt-4o

fault westus cut=4 count=1

fault eastus hang=30 path=/responses

fault westus refuse=10

[bold]Names:[/bold] one that says what happens (status, garbage_hint, reset, hang, refuse, cut,
stream_error), any of
slow_first_byte, stall, split and crlf, and which requests it is for.

{_FAULT_FIELDS}
"""


@app.command(help=_FAULT_HELP)
def fault(
    region: RegionName,
    what: Annotated[list[str], typer.Argument(metavar="NAME[=VALUE]…", help="The fault; names below.")],
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Script a fault: the next requests that match it go wrong."""
    with _problems_reported():
        client = AdminClient(url, admin_key)
        _print_faults(client.region(region, "POST", "faults", [parse_fault(what)])["faults"])


@app.command()
def faults(
    region: RegionName,
    clear: Annotated[bool, typer.Option("--clear", help="Forget them all.")] = False,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the scripted faults of a region with what is left of them, or clear them."""
    with _problems_reported():
        found = AdminClient(url, admin_key).region(region, "DELETE" if clear else "GET", "faults")["faults"]
        _print_json(found) if as_json else _print_faults(found)


@app.command()
def requests(
    region: RegionName,
    last: Annotated[int, typer.Option(help="How many, newest last.")] = 20,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the requests that reached a region. The JSON form has headers, keys included, and bodies."""
    with _problems_reported():
        resource = "requests" if as_json else "requests?bodies=false"
        records = AdminClient(url, admin_key).region(region, "GET", resource)["requests"][-last:]
        if as_json:
            _print_json(records)
            return
        table = _table("#", "time", "method", "path", "bytes", "status", "fault", "client left")
        for r in records:
            at = datetime.fromtimestamp(r["received_at"], UTC).strftime("%H:%M:%S.%f")[:-3]
            left = "yes" if r["client_disconnected"] else ""
            path = r["path"].partition("?")[0]
            row = [r["number"], at, r["method"], path, r["size"], r["status"] or "-", r["fault"] or "", left]
            table.add_row(*(escape(str(cell)) for cell in row))
        out.print(table)


@app.command()
def state(url: Url = DEFAULT_URL, admin_key: AdminKey = None, as_json: AsJson = False) -> None:
    """Show every region: port, deployments, requests so far, quota, latency and faults."""
    with _problems_reported():
        regions = AdminClient(url, admin_key).regions()
        if as_json:
            _print_json(regions)
            return
        table = _table("region", "port", "requests", "answers", "faults", "refusing", "latency ms", "quota")
        for name, r in regions.items():
            quota = ", ".join(
                f"{d}: {q['tpm'] or '∞'} tpm {q['rpm'] or '∞'} rpm" for d, q in r["quota"].items()
            )
            latency = f"{r['latency']['first_byte_ms']:g} + {r['latency']['per_token_ms']:g}/token"
            refusing = "yes" if r["refusing"] else ""
            row = [name, r["port"], r["requests"], r["answers"], len(r["faults"]), refusing, latency, quota]
            table.add_row(*(escape(str(cell)) for cell in row))
        out.print(table)


@app.command()
def quota(
    region: RegionName,
    deployment: Annotated[str, typer.Argument(help="Name of the deployment.")],
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute; unlimited when left out.")] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests per minute; unlimited when left out.")] = None,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Give a deployment another quota; what it used so far is forgotten."""
    with _problems_reported():
        change = {deployment: {"tpm": tpm, "rpm": rpm}}
        _print_json(AdminClient(url, admin_key).region(region, "PUT", "quota", change))


@app.command()
def latency(
    region: RegionName,
    first_byte_ms: Annotated[float, typer.Option(help="Milliseconds before the first byte.")] = 0.0,
    per_token_ms: Annotated[float, typer.Option(help="Milliseconds before each token.")] = 0.0,
    jitter: Annotated[float, typer.Option(help="Share by which both vary, 0 to 1.")] = 0.0,
    answer_tokens: Annotated[int | None, typer.Option(help="Length of generated answers in tokens.")] = None,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Change the delays of a region, and the length of its answers, from the next answer on."""
    with _problems_reported():
        change = {"first_byte_ms": first_byte_ms, "per_token_ms": per_token_ms, "jitter": jitter}
        if answer_tokens is not None:
            change["answer_tokens"] = answer_tokens
        _print_json(AdminClient(url, admin_key).region(region, "PUT", "latency", change))


@app.command()
def reset(
    region: Annotated[
        str | None, typer.Argument(metavar="[REGION]", help="One region; all when left out.")
    ] = None,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Forget faults, recordings, stored objects, used quota and changed settings."""
    with _problems_reported():
        client = AdminClient(url, admin_key)
        names = [region] if region else list(client.regions())
        for name in names:
            client.region(name, "DELETE", "state")
        out.print(f"reset: {', '.join(names)}")


def parse_fault(words: list[str]) -> dict[str, Any]:
    """The fault that words such as ``status=429`` and ``reset`` describe, not yet validated."""
    described: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        described[name] = _value(value) if equals else True
    return described


def _value(text: str) -> Any:
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_faults(entries: list[dict[str, Any]]) -> None:
    table = _table("fault", "left", "hits")
    for entry in entries:
        fields = " ".join(f"{k}={v}" for k, v in entry.items() if k not in ("left", "hits", "count"))
        table.add_row(
            escape(fields), "∞" if entry["left"] is None else str(entry["left"]), str(entry["hits"])
        )
    out.print(table if entries else "no faults")


def _table(*headings: str) -> Table:
    """A plain table whose long cells fold instead of being cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _print_json(document: Any) -> None:
    out.print_json(data=document)


@contextmanager
def _problems_reported() -> Iterator[None]:
    try:
        yield
    except ProblemsError as error:
        for problem in error.problems:
            err.print(f"[red]error:[/red] {escape(problem)}", soft_wrap=True)
        raise typer.Exit(EXIT_INVALID) from None


def main() -> None:
    """Entry point of ``azure-openai-simulator``."""
    app()
