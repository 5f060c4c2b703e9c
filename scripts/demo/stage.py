"""What the demo plays on: the simulated regions of examples/demo.env and a gateway in front of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from e2e.simulator import Latency, Region, Simulator
from renderer import read_env_file
from scripts.demo.calls import warm_up
from scripts.engines import Gateway, start_gateway
from scripts.engines.base import REPOSITORY
from scripts.engines.ports import port_or_free

SETTINGS = REPOSITORY / "examples" / "demo.env"
GATEWAY_PORT = 9080
# Slow enough that a first token and a whole answer are told apart, fast enough to watch.
_LATENCY = Latency(first_byte_ms=30, per_token_ms=6, jitter=0.3)
_STOP_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Stage:
    """A running gateway, its simulated regions, and the key of a client."""

    simulator: Simulator
    gateway: Gateway
    client_key: str


def _indices(env: Mapping[str, str]) -> list[str]:
    return [found[1] for name in env if (found := re.fullmatch(r"AZURE_OPENAI_ENDPOINT_(\d+)", name))]


def _regions(env: Mapping[str, str], *, usual_ports: bool) -> dict[str, Region]:
    """The regions of the settings, by the index of their backend."""
    regions = {}
    for index in _indices(env):
        port = urlsplit(env[f"AZURE_OPENAI_ENDPOINT_{index}"]).port or 0
        regions[index] = Region(
            env[f"AZURE_OPENAI_NAME_{index}"],
            key=env[f"AZURE_OPENAI_KEY_{index}"],
            port=port_or_free(port) if usual_ports else 0,
            latency=_LATENCY,
        )
    return regions


@contextmanager
def set_up(engine: str, *, usual_ports: bool) -> Iterator[Stage]:
    """Starts everything, and stops it at the end.

    Args:
        engine: what runs the gateway: embedded, apisix, docker or auto.
        usual_ports: listen where examples/demo.env and the documentation say, as far as those ports are free.

    Raises:
        EngineError: the gateway cannot be started; says why.
    """
    env = dict(read_env_file(SETTINGS))
    regions = _regions(env, usual_ports=usual_ports)
    with Simulator(list(regions.values())) as simulator:
        env |= {
            f"AZURE_OPENAI_ENDPOINT_{index}": simulator.endpoint(region.name)
            for index, region in regions.items()
        }
        port = port_or_free(GATEWAY_PORT) if usual_ports else 0
        gateway = start_gateway(env, engine, port=port)
        first = next(iter(regions.values()))
        try:
            warm_up(simulator.endpoint(first.name), first.key, "warm-up")
            simulator.reset()
            yield Stage(simulator, gateway, env["GATEWAY_CLIENT_KEY_0"])
        finally:
            gateway.stop(_STOP_GRACE_SECONDS)
