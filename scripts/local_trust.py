"""How each kind of client is told to trust the local authority."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.local_authority import LocalAuthority

_NAME = "azure-openai-gateway"
# The command by which a system's store is known, and what a person types there.
_STORES = {
    "update-ca-certificates": "sudo cp {pem} /usr/local/share/ca-certificates/{name}.crt && "
    "sudo update-ca-certificates",
    "update-ca-trust": "sudo cp {pem} /etc/pki/ca-trust/source/anchors/{name}.pem && sudo update-ca-trust",
    "security": "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {pem}",
}


def ways_to_trust(authority: LocalAuthority) -> list[str]:
    """Lines for a terminal: variables by kind of client, and the system's store."""
    bundle, pem = shlex.quote(str(authority.bundle)), shlex.quote(str(authority.pem))
    return [
        "clients have to trust its authority. Give those of",
        f"  Python, Go, Rust, .NET, curl   SSL_CERT_FILE={bundle}",
        f"  Python with requests           REQUESTS_CA_BUNDLE={bundle}",
        f"  Node.js                        NODE_EXTRA_CA_CERTS={pem}",
        "or let the whole system trust it, browsers too:",
        f"  {_store_command(authority.pem)}",
    ]


def _store_command(pem: Path) -> str:
    for tool, command in _STORES.items():
        if shutil.which(tool) is not None:
            return command.format(pem=shlex.quote(str(pem)), name=_NAME)
    return f"add {pem} to its store of trusted roots"
