"""A stand-in for Key Vault that answers writes, and fails on request as Key Vault does.

Unlike the emulator Lowkey Vault it has throttling, roles and slow recovery.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from azure.keyvault.secrets import SecretClient

from tests.support.certificates import Certificate
from tests.support.key_vault import API_VERSION, FixedToken
from tests.support.loopback_server import LoopbackServer, Reply, Request


@dataclass
class Fault:
    """A failure, instead of the right answer."""

    method: str
    status: int
    code: str
    inner: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": "refused"}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


@dataclass
class FaultyVault:
    """State of the server: secrets by name, the requests that arrived, and the next faults."""

    secrets: dict[str, list[str]] = field(default_factory=dict)
    deleted: dict[str, list[str]] = field(default_factory=dict)
    recovering: dict[str, int] = field(default_factory=dict)
    """How many more writes to a recovered name are refused."""
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def deny(self, method: str, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        """Fail in this way from now on."""
        self.faults = [Fault(method, status, code, headers=headers or {}) for _ in range(1000)]

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Reply:
        self.requests.append(f"{method} {path}")
        for fault in self.faults:
            if fault.method == method:
                self.faults.remove(fault)
                return fault.status, fault.body, fault.headers
        kind, name, *rest = (path.strip("/") + "/").split("/")
        if kind == "deletedsecrets":
            return self._recover(name) if method == "POST" else self._deleted(name)
        if method == "PUT":
            return self._write(name, str(body["value"]))
        if method == "DELETE":
            self.deleted[name] = self.secrets.pop(name)
            return self._deleted(name)
        if not name:
            return 200, {"value": [self._properties(each, 1) for each in self.secrets]}, {}
        if name not in self.secrets:
            return 404, {"error": {"code": "SecretNotFound", "message": "not found"}}, {}
        if rest[:1] == ["versions"]:
            versions = range(1, len(self.secrets[name]) + 1)
            return 200, {"value": [self._properties(name, version) for version in versions]}, {}
        return 200, self._show(name), {}

    def _deleted(self, name: str) -> Reply:
        if name not in self.deleted:
            return 404, {"error": {"code": "SecretNotFound", "message": "not found"}}, {}
        recovery = f"{self.url}/deletedsecrets/{name}"
        return (
            200,
            {**self._properties(name, 1), "recoveryId": recovery, "deletedDate": 1, "scheduledPurgeDate": 2},
            {},
        )

    def _properties(self, name: str, version: int) -> dict[str, Any]:
        return {"id": f"{self.url}/secrets/{name}/v{version}", "attributes": {"enabled": True}}

    def _recover(self, name: str) -> Reply:
        self.secrets[name] = self.deleted.pop(name)
        return 200, {"id": f"{self.url}/secrets/{name}/1", "attributes": {"enabled": True}}, {}

    def _write(self, name: str, value: str) -> Reply:
        if name in self.deleted:
            return 409, Fault("PUT", 409, "Conflict", "ObjectIsDeletedButRecoverable").body, {}
        if self.recovering.get(name, 0) > 0:
            self.recovering[name] -= 1
            return 409, Fault("PUT", 409, "Conflict", "ObjectIsBeingRecovered").body, {}
        self.secrets.setdefault(name, []).append(value)
        return 200, self._show(name), {}

    def _show(self, name: str) -> dict[str, Any]:
        values = self.secrets[name]
        return {"value": values[-1], **self._properties(name, len(values))}


@contextmanager
def running(certificate: Certificate) -> Iterator[tuple[FaultyVault, SecretClient]]:
    """Run a vault on a free loopback port, with a client for it that does not retry by itself."""
    vault = FaultyVault()

    def answer(request: Request) -> Reply:
        if request.token is None:
            # The SDK accepts only a challenge for a parent domain: for 127.0.0.1 that is 0.0.1.
            resource = vault.url.replace("127.0.0.1", "0.0.1")
            tenant = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000"
            challenge = f'Bearer authorization="{tenant}", resource="{resource}"'
            return 401, {}, {"WWW-Authenticate": challenge}
        return vault.answer(request.method, request.path, request.body)

    with (
        LoopbackServer(answer, certificate) as server,
        SecretClient(
            server.url,
            FixedToken(),
            api_version=API_VERSION,
            connection_verify=str(certificate.pem),
            retry_total=0,
        ) as client,
    ):
        vault.url = server.url
        yield vault, client
