"""The bundle's pure modules, called inside nginx with generated input."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.engines.base import REPOSITORY
from tests.engines.support import Lua, lua_gateway


@pytest.fixture(scope="session")
def lua(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lua]:
    """Runs Lua that can `require` the modules of the bundle."""
    root = tmp_path_factory.mktemp("bundle")
    plugins = root / "apisix" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "azure-openai").symlink_to(REPOSITORY / "apisix" / "plugins" / "azure-openai")
    with lua_gateway(root) as gateway:
        yield Lua(gateway)
