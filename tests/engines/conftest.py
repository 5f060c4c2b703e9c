"""Fixtures of the engine tests."""

from collections.abc import Iterator

import pytest

from tests.engines.support import Lua, lua_gateway


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """The engine under test (see --engine); tests that use it pass on every engine."""
    return str(request.config.getoption("--engine"))


@pytest.fixture(scope="session")
def lua(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lua]:
    """Runs Lua inside the embedded engine's nginx."""
    with lua_gateway(tmp_path_factory.mktemp("bundle")) as gateway:
        yield Lua(gateway)
