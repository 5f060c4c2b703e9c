"""From settings to the texts of the three files. Each text is checked before it is returned."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from renderer import sizing, test_routes
from renderer.model import Settings
from renderer.model.backends import Backend
from renderer.names import variable
from renderer.prices import all_prices
from renderer.resources import TEMPLATES
from renderer.schema_check import parse_document, require_valid

DEFAULT_BUNDLE_ROOT = "/usr/local/azure-openai-gateway"
"""The directory of the image that holds `apisix/plugins/`."""

PORTS = {"traffic": 9080, "metrics": 9091, "status": 7085}
"""The TCP ports that the gateway listens on."""


def render_files(settings: Settings, bundle_root: Path | str = DEFAULT_BUNDLE_ROOT) -> dict[str, str]:
    """Render `apisix.yaml`, `config.yaml` and `otel-collector.yaml`; returns their texts by file name.

    The same settings give the same bytes. `bundle_root` is the directory that holds `apisix/plugins/`, as the
    gateway sees it. Raises `ConfigurationError` when APISIX would not accept a text.
    """
    facts: dict[str, Any] = {
        "settings": settings,
        "ports": PORTS,
        "bundle_root": str(bundle_root),
        "credential_variables": [
            variable(Backend, "key" if backend.auth == "key" else "auth", index)
            for index, backend in enumerate(settings.backends)
        ],
        "surfaces": {name for backend in settings.backends for name in backend.surfaces},
        "test_pools": test_routes.pools_of(settings),
        "pricing": all_prices(settings.telemetry),
        "shared_dictionaries": sizing.shared_dictionaries(settings),
        "worker_processes": sizing.worker_processes(settings),
        "worker": sizing.connections(settings),
    }
    apisix = _render("apisix.yaml", facts)
    items = parse_document("apisix.yaml", apisix)
    config = _render("config.yaml", {**facts, "plugins": _plugins_in_use(items)})
    collector = _render("otel-collector.yaml", facts)
    require_valid(items, parse_document("config.yaml", config))
    parse_document("otel-collector.yaml", collector)
    return {"apisix.yaml": apisix, "config.yaml": config, "otel-collector.yaml": collector}


def _render(name: str, facts: dict[str, Any]) -> str:
    return _environment().get_template(f"{name}.j2").render(facts)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is YAML; the filter below quotes every value
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = yaml_value
    environment.filters["collector"] = collector_value
    return environment


_YAML_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def yaml_value(value: object) -> str:
    r"""Write a value as a YAML flow scalar, list or mapping on one line. Example: `["a", 1]` → `["a", 1]`.

    JSON is valid YAML except for a few characters. APISIX replaces `${{NAME}}` by an environment variable
    before it parses the file, so the `$` in front of `{{` is written as `\u0024`.
    """
    text = json.dumps(value, ensure_ascii=False).replace("${{", "\\u0024{{")
    return _YAML_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def collector_value(value: str) -> str:
    """Write a text for the collector, which expands `$` in every value. Example: `a$b` → `"a$$b"`."""
    return yaml_value(value.replace("$", "$$"))


def _plugins_in_use(items: dict[str, Any]) -> list[str]:
    """The plugins that a route or metadata names. APISIX loads only these."""
    used = {name for route in items["routes"] for name in route["plugins"]}
    return sorted(used | {metadata["id"] for metadata in items["plugin_metadata"]})
