"""A small HTTPS server on loopback that answers as Key Vault does, and fails as it does when told to.

It speaks the part of the REST API that reading secrets needs: the authentication challenge, the paged list
and single secrets. Beside it listens the token endpoint of a managed identity (`IDENTITY_ENDPOINT`). The
Azure SDK runs against it unchanged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.certificates import Certificate
from tests.support.loopback_server import LoopbackServer, Reply, Request

PAGE_SIZE = 25
TENANT = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Answer:
    """A scripted answer."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


THROTTLED = Answer(
    429,
    {
        "error": {
            "code": "Throttled",
            "message": "Request was not processed because too many requests were made.",
        }
    },
    {"retry-after-ms": "1"},
)


def forbidden(inner_code: str = "ForbiddenByRbac") -> Answer:
    """What Key Vault answers to an identity that it knows but that may not do this."""
    return Answer(
        403,
        {
            "error": {
                "code": "Forbidden",
                "message": "Caller is not authorized to perform action on resource.",
                "innererror": {"code": inner_code},
            }
        },
    )


@dataclass
class ScriptedVault:
    """The server's state: its secrets, what it was asked, and the faults it answers with first."""

    port: int
    identity_port: int
    secrets: dict[str, str] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    disabled_since_listed: set[str] = field(default_factory=set)
    """Secrets that the list still has as enabled."""
    faults: list[Answer] = field(default_factory=list)
    endless_fault: Answer | None = None
    answered_endless_fault: threading.Event = field(default_factory=threading.Event)
    secrets_locked: bool = False
    """Whether the identity may list the secrets but not read one."""
    gate: threading.Barrier | None = None
    """When set, reads of single secrets wait for each other here."""
    paths: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def identity_environment(self) -> dict[str, str]:
        """Variables that give a process a managed identity, the way Container Apps does."""
        endpoint = f"http://127.0.0.1:{self.identity_port}/msi/token"
        return {"IDENTITY_ENDPOINT": endpoint, "IDENTITY_HEADER": "test-identity-header"}

    @property
    def secrets_read(self) -> list[str]:
        """Names of the secrets whose values were asked for, in order."""
        return [path.split("/")[2] for path in self.paths if path.startswith("/secrets/")]

    def reply(self, request: Request) -> Reply:
        """The next answer; without a token it is the challenge to bring one."""
        if request.token is None:
            # The SDK accepts a challenge only for a parent domain of the vault's; "0.0.1" is the one of
            # 127.0.0.1, as vault.azure.net is of a real vault's.
            challenge = (
                f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", '
                f'resource="https://0.0.1:{self.port}"'
            )
            return 401, {}, {"WWW-Authenticate": challenge}
        answer = self._answer(request)
        return answer.status, answer.body, answer.headers

    def _answer(self, request: Request) -> Answer:
        self.paths.append(request.path)
        if self.faults:
            return self.faults.pop(0)
        if self.endless_fault is not None:
            self.answered_endless_fault.set()
            return self.endless_fault
        if request.path.rstrip("/") == "/secrets":
            return self._page(int(request.query.get("$skiptoken", "0")))
        return self._secret(request.path.split("/")[2])

    def _page(self, start: int) -> Answer:
        names = list(self.secrets)
        page = names[start : start + PAGE_SIZE]
        value = [
            {"id": f"{self.url}/secrets/{name}", "attributes": {"enabled": name not in self.disabled}}
            for name in page
        ]
        more = start + PAGE_SIZE < len(names)
        link = f"{self.url}/secrets?api-version=7.5&$skiptoken={start + PAGE_SIZE}" if more else None
        return Answer(200, {"value": value, "nextLink": link})

    def _secret(self, name: str) -> Answer:
        if self.secrets_locked:
            return forbidden()
        if self.gate is not None:
            self.gate.wait(timeout=20)
        if name in self.disabled_since_listed:
            return forbidden("SecretDisabled")
        if name not in self.secrets:
            return Answer(404, {"error": {"code": "SecretNotFound", "message": "not found"}})
        body = {
            "value": self.secrets[name],
            "id": f"{self.url}/secrets/{name}/1",
            "attributes": {"enabled": True},
        }
        return Answer(200, body)


@contextmanager
def running_vault(certificate: Certificate) -> Iterator[ScriptedVault]:
    """Run a vault and its identity endpoint on free loopback ports."""
    vault = ScriptedVault(0, 0)
    with LoopbackServer(vault.reply, certificate) as server, LoopbackServer(_token) as identity:
        vault.port, vault.identity_port = server.port, identity.port
        yield vault


def _token(request: Request) -> Reply:
    expires = str(int(time.time()) + 3600)
    resource = request.query.get("resource", "")
    body = {"access_token": "test-token", "expires_on": expires, "resource": resource, "token_type": "Bearer"}
    return 200, body, {}
