"""The commands that script and inspect a running simulator, through its admin API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import typer
from rich.markup import escape

from e2e.simulator.admin import KEY_HEADER
from e2e.simulator.console import out, problems_reported, table
from e2e.simulator.faults import Fault
from e2e.simulator.problems import ProblemsError

commands = typer.Typer()

Url = Annotated[
    str, typer.Option(envvar="AZURE_OPENAI_SIMULATOR_URL", help="URL of any region of the running simulator.")
]
AdminKey = Annotated[
    str | None,
    typer.Option(envvar="AZURE_OPENAI_SIMULATOR_ADMIN_KEY", help="Admin key, if the simulator has one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
RegionName = Annotated[str, typer.Argument(metavar="REGION", help="Name of the region, for example eastus.")]
DEFAULT_URL = "http://127.0.0.1:8001"


class AdminClient:
    """A client of a running simulator, given the URL of any of its regions. Raises :class:`ProblemsError`."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url.rstrip("/")
        headers = {KEY_HEADER: key} if key else {}
        self._http = httpx.Client(headers=headers, timeout=10, trust_env=False)

    def regions(self) -> dict[str, Any]:
        """The state of every region by name."""
        states: dict[str, Any] = self._send("GET", "regions")["regions"]
        return states

    def region(self, name: str, method: str, resource: str, document: Any = None) -> Any:
        """The answer to one admin request about one region."""
        return self._send(method, f"regions/{name}/{resource}", document)

    def _send(self, method: str, path: str, document: Any = None) -> Any:
        url = f"{self._url}/_simulator/{path}"
        try:
            answer = self._http.request(method, url, json=document)
            content = answer.json()
        except httpx.HTTPError:
            raise ProblemsError(
                [f"no simulator at {self._url}: start one with 'serve', or give --url of one of its regions"]
            ) from None
        except (httpx.InvalidURL, ValueError):
            raise ProblemsError([f"{self._url} is no simulator: give --url of one of its regions"]) from None
        if not answer.is_success:
            raise ProblemsError(
                [str(problem) for problem in content.get("errors", [f"status {answer.status_code}"])]
            )
        return content


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

[bold]Names:[/bold] at most one that says what happens (status, garbage_hint, reset, hang, refuse, cut,
stream_error), any of slow_first_byte, stall, split, crlf, cr, framing, packed and content_type, and the
names that choose the requests.

{_FAULT_FIELDS}
"""


@commands.command(help=_FAULT_HELP)
def fault(
    region: RegionName,
    what: Annotated[list[str], typer.Argument(metavar="NAME[=VALUE]…", help="The fault; names below.")],
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Script a fault: the next requests that match it go wrong."""
    with problems_reported():
        client = AdminClient(url, admin_key)
        _print_faults(client.region(region, "POST", "faults", [parse_fault(what)])["faults"])


@commands.command()
def faults(
    region: RegionName,
    clear: Annotated[bool, typer.Option("--clear", help="Forget them all.")] = False,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the scripted faults of a region with what is left of them, or clear them."""
    with problems_reported():
        found = AdminClient(url, admin_key).region(region, "DELETE" if clear else "GET", "faults")["faults"]
        _print_json(found) if as_json else _print_faults(found)


@commands.command()
def requests(
    region: RegionName,
    last: Annotated[int, typer.Option(help="How many to show, the newest last.")] = 20,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
    as_json: AsJson = False,
) -> None:
    """Show the requests that reached a region. The JSON form has headers, keys included, and bodies."""
    with problems_reported():
        resource = "requests" if as_json else "requests?bodies=false"
        records = AdminClient(url, admin_key).region(region, "GET", resource)["requests"][-last:]
        if as_json:
            _print_json(records)
            return
        rows = table("#", "time", "method", "path", "bytes", "status", "fault", "client left")
        for r in records:
            at = datetime.fromtimestamp(r["received_at"], UTC).strftime("%H:%M:%S.%f")[:-3]
            left = "yes" if r["client_disconnected"] else ""
            path = r["path"].partition("?")[0]
            row = [r["number"], at, r["method"], path, r["size"], r["status"] or "-", r["fault"] or "", left]
            rows.add_row(*(escape(str(cell)) for cell in row))
        out.print(rows)


@commands.command()
def state(url: Url = DEFAULT_URL, admin_key: AdminKey = None, as_json: AsJson = False) -> None:
    """Show every region: port, deployments, requests so far, quota, latency and faults."""
    with problems_reported():
        regions = AdminClient(url, admin_key).regions()
        if as_json:
            _print_json(regions)
            return
        rows = table("region", "port", "requests", "answers", "faults", "refusing", "latency ms", "quota")
        for name, r in regions.items():
            quota = ", ".join(
                f"{d}: {q['tpm'] or '∞'} tpm {q['rpm'] or '∞'} rpm" for d, q in r["quota"].items()
            )
            latency = f"{r['latency']['first_byte_ms']:g} + {r['latency']['per_token_ms']:g}/token"
            refusing = "yes" if r["refusing"] else ""
            row = [name, r["port"], r["requests"], r["answers"], len(r["faults"]), refusing, latency, quota]
            rows.add_row(*(escape(str(cell)) for cell in row))
        out.print(rows)


@commands.command()
def quota(
    region: RegionName,
    deployment: Annotated[str, typer.Argument(help="Name of the deployment.")],
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute; unlimited when left out.")] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests per minute; unlimited when left out.")] = None,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Give a deployment another quota; what it used so far is forgotten."""
    with problems_reported():
        change = {deployment: {"tpm": tpm, "rpm": rpm}}
        _print_json(AdminClient(url, admin_key).region(region, "PUT", "quota", change))


@commands.command()
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
    with problems_reported():
        change = {"first_byte_ms": first_byte_ms, "per_token_ms": per_token_ms, "jitter": jitter}
        if answer_tokens is not None:
            change["answer_tokens"] = answer_tokens
        _print_json(AdminClient(url, admin_key).region(region, "PUT", "latency", change))


@commands.command()
def surfaces(
    region: RegionName,
    on: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Offer it. Repeatable.")] = None,
    off: Annotated[list[str] | None, typer.Option(metavar="NAME", help="No longer. Repeatable.")] = None,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Show which surfaces a region offers (openai, anthropic, inference), or change it; others are 404."""
    with problems_reported():
        client = AdminClient(url, admin_key)
        change = dict.fromkeys(on or (), True) | dict.fromkeys(off or (), False)
        _print_json(client.region(region, "PUT" if change else "GET", "surfaces", change or None))


@commands.command()
def prompt_cache(
    region: RegionName,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Cache prompts, or do not.")] = None,
    life_s: Annotated[float | None, typer.Option(help="Seconds that a beginning lives unused.")] = None,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Show the prompt cache of a region, or turn it on, empty, or off."""
    with problems_reported():
        given = {"enabled": enabled, "life_s": life_s}
        change = {name: value for name, value in given.items() if value is not None}
        client = AdminClient(url, admin_key)
        _print_json(client.region(region, "PUT" if change else "GET", "prompt_cache", change or None))


@commands.command()
def tool_calls(
    region: RegionName,
    calls: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME={…}]", help="Tools to call, with their arguments as JSON."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Call no tools any more.")] = False,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Show which tools a region's model calls of its own accord, or name others."""
    with problems_reported():
        change = {} if clear else parse_fault(calls or [])
        asked = clear or bool(calls)
        client = AdminClient(url, admin_key)
        _print_json(client.region(region, "PUT" if asked else "GET", "tool_calls", change if asked else None))


@commands.command()
def reset(
    region: Annotated[
        str | None, typer.Argument(metavar="[REGION]", help="One region; all when left out.")
    ] = None,
    url: Url = DEFAULT_URL,
    admin_key: AdminKey = None,
) -> None:
    """Forget faults, recordings, stored objects, used quota and changed settings."""
    with problems_reported():
        client = AdminClient(url, admin_key)
        names = [region] if region else list(client.regions())
        for name in names:
            client.region(name, "DELETE", "state")
        out.print(f"reset: {', '.join(names)}")


def parse_fault(words: list[str]) -> dict[str, Any]:
    """The fault that words describe, not yet validated.

    >>> parse_fault(["status=429", "reset"])
    {'status': '429', 'reset': True}
    """
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
    rows = table("fault", "left", "hits")
    for entry in entries:
        fields = " ".join(f"{k}={v}" for k, v in entry.items() if k not in ("left", "hits", "count"))
        rows.add_row(escape(fields), "∞" if entry["left"] is None else str(entry["left"]), str(entry["hits"]))
    out.print(rows if entries else "no faults")


def _print_json(document: Any) -> None:
    out.print_json(data=document)
