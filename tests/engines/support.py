"""Small gateways for the engine tests: a few routes and plugins written next to the test."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import yaml

from scripts.engines import Gateway, choose_engine, start_files
from tests.support.measuring import PATIENCE

PROBE = """
local core = require("apisix.core")
local _M = { version = 0.1, priority = 1, name = "probe", schema = { type = "object" } }

function _M.access()
    local run = assert(loadstring(core.request.get_body()))
    ngx.header["Content-Type"] = "application/json"
    return 200, core.json.encode({ result = { run() } })
end

return _M
"""
"""A plugin that runs the Lua chunk in the request's body, inside nginx, and returns its results."""


def write_plugins(root: Path, plugins: Mapping[str, str]) -> None:
    """Lays out plugins (name to Lua source) as a bundle below `root`."""
    for name, source in plugins.items():
        path = root / "apisix" / "plugins" / f"{name}.lua"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))


def apisix_yaml(**sections: Any) -> str:
    """An apisix.yaml of the given sections."""
    return yaml.dump(sections, Dumper=yaml.CSafeDumper, sort_keys=False) + "#END\n"


def config_yaml(root: Path, plugins: list[str], hook: str | None = None, server_snippet: str = "") -> str:
    """A config.yaml like the renderer's for a bundle below `root`."""
    config: dict[str, Any] = {
        "deployment": {"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}},
        "apisix": {
            "enable_admin": False,
            "enable_control": False,
            "ssl": {"enable": False},
            "extra_lua_path": f"{root}/?.lua",
            **({"lua_module_hook": hook} if hook else {}),
        },
        "nginx_config": {
            "http": {
                "custom_lua_shared_dict": {
                    "tests": "1m",
                    "azure-openai-identity": "1m",
                    "azure-openai-availability": "1m",
                    "azure-openai-unproven": "1m",
                    "azure-openai-items": "2m",
                    "azure-openai-sightings": "1m",
                    "azure-openai-ephemeral": "1m",
                    "azure-openai-budgets": "1m",
                    "azure-openai-live": "4m",
                },
                "access_log_buffer": 1,
            },
            "http_server_configuration_snippet": server_snippet,
        },
        "plugin_attr": {"ai-proxy": {"http_client": "lua-resty-http"}, "prometheus": {"refresh_interval": 1}},
        "plugins": plugins,
    }
    return str(yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=False))


def start(
    root: Path,
    *,
    plugins: Mapping[str, str],
    stock: tuple[str, ...] = (),
    engine: str = "embedded",
    hook: str | None = None,
    server_snippet: str = "",
    workers: int = 1,
    **sections: Any,
) -> Gateway:
    """A gateway with our `plugins` (by source) and `stock` ones, and the given sections of apisix.yaml.

    Modules that are no plugins have a `/` in their names.
    """
    write_plugins(root, plugins)
    names = [name for name in plugins if "/" not in name]
    files = {
        "apisix.yaml": apisix_yaml(**sections),
        "config.yaml": config_yaml(root, [*names, *stock], hook, server_snippet),
    }
    return start_files(files, engine=choose_engine(engine)[0], workers=workers)


class Lua:
    """Runs Lua inside a gateway that has the probe plugin at /probe."""

    def __init__(self, gateway: Gateway) -> None:
        self._client = httpx.Client(base_url=gateway.url, timeout=10 * PATIENCE)

    def __call__(self, chunk: str, **values: Any) -> list[Any]:
        """The results of a chunk; `values` are locals in it, passed as JSON."""
        local = "".join(
            f"local {name} = require('cjson').decode([==[{json.dumps([value])}]==])[1]\n"
            for name, value in values.items()
        )
        answer = self._client.post("/probe", content=local + textwrap.dedent(chunk))
        assert answer.status_code == 200, answer.text
        result: list[Any] = answer.json()["result"]
        return result


def lua_gateway(root: Path) -> AbstractContextManager[Gateway]:
    """A gateway for `Lua`."""
    return start(
        root, plugins={"probe": PROBE}, routes=[{"id": "probe", "uri": "/probe", "plugins": {"probe": {}}}]
    )
