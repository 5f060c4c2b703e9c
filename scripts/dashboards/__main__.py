"""`python -m scripts.dashboards` writes the dashboards from `dashboards/panels.yaml`."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.dashboards.grafana import dashboard
from scripts.dashboards.panels import DIRECTORY, read
from scripts.dashboards.workbook import workbook


def files() -> dict[Path, str]:
    """The text of each dashboard."""
    panels = read()
    documents = {
        "azure-openai-gateway.json": dashboard(panels),
        "azure-openai-gateway.workbook.json": workbook(panels),
    }
    return {
        DIRECTORY / name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
