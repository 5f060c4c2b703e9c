"""The tools of docs/tools in front of a gateway over TLS, as their pages say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import Stage, simulator
from tests.clients.conftest import certificate, outer_environment
from tests.clients.ingress import Ingress
from tests.support.certificates import Certificate
from tests.tools.sessions import Machine, World

__all__ = ["certificate", "outer_environment", "simulator"]


@pytest.fixture(scope="session")
def machine(outer_environment: dict[str, str], certificate: Certificate) -> Machine:
    return Machine(outer_environment, certificate)


@pytest.fixture(scope="session")
def open_world(
    simulator: Simulator, pytestconfig: pytest.Config, certificate: Certificate
) -> Callable[[], AbstractContextManager[World]]:
    """Opens a gateway for the session of one tool; its backends offer every surface."""
    surfaces = {f"AZURE_OPENAI_SURFACES_{index}": "openai,anthropic,inference" for index in range(2)}
    # The first backend serves while it can, so a test knows whose failure the tool could see.
    preferred = {"AZURE_OPENAI_PRIORITY_0": "1"}

    @contextmanager
    def opened() -> Iterator[World]:
        simulator.reset()
        with ExitStack() as stack:
            stage = Stage(simulator, pytestconfig.getoption("--engine"), stack)
            gateway = stage.gateway(**surfaces, **preferred)
            yield World(simulator, stack.enter_context(Ingress(gateway.url, certificate.chain_and_key)).url)

    return opened
