"""Endpoints on loopback that hand out tokens of identities, and record what they were asked.

They speak the protocols of Container Apps, of a virtual machine's metadata service, and of Entra ID.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from tests.support.certificates import Certificate
from tests.support.loopback_server import LoopbackServer, Reply, Request

SECRET = "identity-header-of-the-test"
TENANT = "99999999-8888-7777-6666-555555555555"
CLIENT_ID = "11111111-2222-3333-4444-555555555555"


@dataclass
class TokenRequest:
    """One recorded request for a token."""

    path: str
    arguments: dict[str, str]
    """Those of the query and of the form."""
    headers: Mapping[str, str]

    @property
    def secret(self) -> str | None:
        return self.headers.get("x-identity-header")


@dataclass
class IdentityEndpoint:
    """The answers of the endpoint, and the requests that it got."""

    url: str = ""
    token: str = "token-of-eastus"
    lifetime_seconds: float = 3600
    status: int = 200
    refusal: Mapping[str, str] = field(default_factory=dict)
    """The body of an answer whose status is not 200."""
    released: threading.Event = field(default_factory=threading.Event)
    """Answers wait for this event; it is set from the start."""
    requests: list[TokenRequest] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Container Apps announces the endpoint."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": SECRET}

    @property
    def metadata_environment(self) -> dict[str, str]:
        """The variable that puts the endpoint in the place of a virtual machine's metadata service."""
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url}

    def workload_environment(self, token_file: Path) -> dict[str, str]:
        """The variables that AKS gives to a pod with a workload identity; the endpoint is Entra ID."""
        return {
            # By name, since certificates are checked for host names.
            "AZURE_AUTHORITY_HOST": self.url.replace("127.0.0.1", "localhost") + "/",
            "AZURE_CLIENT_ID": CLIENT_ID,
            "AZURE_FEDERATED_TOKEN_FILE": str(token_file),
            "AZURE_TENANT_ID": TENANT,
        }

    def answer(self, request: Request) -> Reply:
        """The next answer."""
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.requests.append(TokenRequest(request.path, request.query | form, request.headers))
        self.arrived.release()
        self.released.wait(10)
        if self.status != 200:
            return self.status, self.refusal, {}
        rest = {"expires_in": int(self.lifetime_seconds)}
        end = {"expires_on": str(int(time.time() + self.lifetime_seconds))}
        # Entra ID tells the rest of a token's life, Container Apps its end, a virtual machine both.
        life = rest if request.method == "POST" else end if "msi" in request.path else rest | end
        return 200, {"access_token": self.token, "token_type": "Bearer", **life}, {}


@contextmanager
def identity_endpoint(certificate: Certificate | None = None) -> Iterator[IdentityEndpoint]:
    """A running endpoint; with a certificate it uses TLS, as Entra ID does."""
    endpoint = IdentityEndpoint()
    endpoint.released.set()

    with LoopbackServer(endpoint.answer, certificate) as server:
        endpoint.url = server.url
        yield endpoint
