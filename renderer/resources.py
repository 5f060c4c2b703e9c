"""Where the renderer finds its templates, schemas and data."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

DATA = _PACKAGE / "data"


def _bundled(name: str, in_repository: str) -> Path:
    """A directory that is inside an installed package, but beside the plugins in the repository."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / in_repository


TEMPLATES = _bundled("templates", "apisix/templates")
PLUGIN_SCHEMAS = _bundled("plugin_schemas", "apisix/plugins/azure-openai/schemas")
