"""``azure-openai-simulator``: serve simulated regions, and script and inspect them while they run."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from e2e.simulator.admin_commands import commands
from e2e.simulator.console import out, problems_reported, table
from e2e.simulator.fleet import Fleet
from e2e.simulator.problems import ProblemsError
from e2e.simulator.serve_plan import Options, Plan, plan
from renderer.version import VersionedGroup

app = typer.Typer(
    cls=VersionedGroup,
    help="Azure OpenAI on your machine: several regions, its wire format, scripted faults, quotas, latency.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


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
            envvar="AZURE_OPENAI_SIMULATOR_KEY",
            help="Key of every region: any text. Sent as api-key.",
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
        Path | None, typer.Option(help="YAML file with these settings and more; options win.")
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
    with problems_reported():
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
    rows = table("region", "endpoint", "x-ms-region", "deployments")
    for name, server in fleet.servers.items():
        names = server.state.deployment_names()
        endpoint = f"http://{what.host}:{server.listener.port}"
        rows.add_row(name, endpoint, server.region.location, "any" if names is None else ", ".join(names))
    out.print(rows)
    out.print("serving; Ctrl-C stops it")
    out.file.flush()


app.add_typer(commands)


def main() -> None:
    """Entry point of ``azure-openai-simulator``."""
    app()
