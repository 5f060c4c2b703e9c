"""Where the renderer finds its templates, schemas, data and the example."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_APISIX = _PACKAGE.parent / "apisix"

DATA = _PACKAGE / "data"
EXAMPLE = _PACKAGE.parent / "examples" / "gateway.env"
"""Settings to begin with. An image has none."""
TEMPLATES = _APISIX / "templates"
PLUGIN_SCHEMAS = _APISIX / "plugins" / "azure-openai" / "schemas"
