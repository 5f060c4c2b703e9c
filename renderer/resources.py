"""Where the renderer finds its templates, schemas and data."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_APISIX = _PACKAGE.parent / "apisix"

DATA = _PACKAGE / "data"
TEMPLATES = _APISIX / "templates"
PLUGIN_SCHEMAS = _APISIX / "plugins" / "azure-openai" / "schemas"
