"""Where the real tools are that the rehearsal needs: `az`, Terraform and the azurerm provider."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tools:
    """The tools: `az`, and a directory as `terraform providers mirror` makes it."""

    az: Path
    mirror: Path


def find_tools() -> Tools | str:
    """The tools, or the reason why the rehearsal cannot be: one line."""
    if os.environ.get("AZURE_REHEARSAL") != "1":
        return "the rehearsal of Azure takes minutes: make rehearsal"
    missing = []
    az = os.environ.get("AZURE_REHEARSAL_AZ") or shutil.which("az")
    if not (az and shutil.which(az)):
        missing.append("the Azure CLI (on PATH, or its path in AZURE_REHEARSAL_AZ)")
    mirror = os.environ.get("AZURERM_MIRROR")
    if not (mirror and any(Path(mirror).rglob("terraform-provider-azurerm_v*"))):
        missing.append("the azurerm provider (its directory in AZURERM_MIRROR)")
    if shutil.which(os.environ.get("TERRAFORM_BINARY", "terraform")) is None:
        missing.append("Terraform")
    if missing:
        return f"no rehearsal of Azure without {', '.join(missing)}"
    return Tools(Path(str(az)), Path(str(mirror)))
