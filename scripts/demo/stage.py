"""The stage of the demo: the simulated regions of examples/demo.env and a gateway in front of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from e2e.simulator import Latency, Region, Simulator
from renderer import read_env_file
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.names import indices, variable
from renderer.progress import working
from scripts.demo.calls import warm_up
from scripts.engines import EngineError, Gateway, start_gateway
from scripts.engines.base import REPOSITORY

SETTINGS = REPOSITORY / "examples" / "demo.env"
GATEWAY_PORT = 9080
# Slow enough to tell a first token from a whole answer, fast enough to watch.
_LATENCY = Latency(first_byte_ms=30, per_token_ms=6, jitter=0.3)
_STOP_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Stage:
    """A running gateway, its simulated regions, and the key of a client."""

    simulator: Simulator
    gateway: Gateway
    client_key: str


def _regions(env: Mapping[str, str], *, usual_ports: bool) -> dict[int, Region]:
    """The regions of the settings, by the index of their backend."""
    regions = {}
    for index in indices(Backend, env):
        port = urlsplit(env[variable(Backend, "endpoint", index)]).port or 0
        regions[index] = Region(
            env[variable(Backend, "name", index)],
            key=env[variable(Backend, "key", index)],
            port=port if usual_ports else 0,
            latency=_LATENCY,
        )
    return regions


def _start_simulator(env: Mapping[str, str], *, usual_ports: bool) -> tuple[Simulator, dict[str, str]]:
    """A started simulator, and the settings with the addresses of its regions."""
    regions = _regions(env, usual_ports=usual_ports)
    simulator = Simulator(list(regions.values()))
    try:
        simulator.start()
    except OSError:
        if not usual_ports:
            raise
        return _start_simulator(env, usual_ports=False)
    # The client builds its types at the first use of each call. The table must not show that time.
    first = next(iter(regions.values()))
    warm_up(simulator.endpoint(first.name), first.key, "warm-up")
    simulator.reset()
    addresses = {
        variable(Backend, "endpoint", index): simulator.endpoint(region.name)
        for index, region in regions.items()
    }
    return simulator, {**env, **addresses}


def _start_gateway(env: Mapping[str, str], engine: str, *, usual_ports: bool) -> Gateway:
    if usual_ports:
        try:
            return start_gateway(env, engine, port=GATEWAY_PORT)
        except EngineError:
            # Most likely the port is taken; any other reason stops the next start too.
            pass
    return start_gateway(env, engine)


@contextmanager
def set_up(engine: str, *, usual_ports: bool) -> Iterator[Stage]:
    """Starts the regions and the gateway, and stops them at the end.

    Args:
        engine: the engine that runs the gateway: embedded, apisix, docker or auto.
        usual_ports: listen on the ports of examples/demo.env and the documentation, if they are free.

    Raises:
        EngineError: the gateway cannot be started; says why.
    """
    with working("Starting the regions"):
        simulator, env = _start_simulator(read_env_file(SETTINGS), usual_ports=usual_ports)
    try:
        with working("Starting the gateway"):
            gateway = _start_gateway(env, engine, usual_ports=usual_ports)
        try:
            yield Stage(simulator, gateway, env[variable(Client, "key", 0)])
        finally:
            gateway.stop(_STOP_GRACE_SECONDS)
    finally:
        simulator.stop()
