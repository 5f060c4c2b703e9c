"""Key Vault: the secrets of each vault, for logins with the role."""

from __future__ import annotations

from collections.abc import Callable

from tests.rehearsal.azure.faults import Faults
from tests.rehearsal.azure.roles import holds
from tests.rehearsal.azure.state import TENANT, Secret, State, Vault
from tests.rehearsal.azure.wire import Reply, Request, refusal

SUFFIX = ".vault.azure.net"


class Vaults:
    """Answers for every vault."""

    def __init__(self, state: Callable[[], State], faults: Faults) -> None:
        self._state = state
        self._faults = faults

    def answer(self, request: Request) -> Reply:
        """Answer one request to one vault."""
        name = request.host.removesuffix(SUFFIX).lower()
        resource = next(
            (
                item
                for item in self._state().of_type("Microsoft.KeyVault/vaults")
                if item["name"].lower() == name
            ),
            None,
        )
        if resource is None:
            return refusal(404, "VaultNotFound", f"There is no vault {name}.")
        if request.path == "/":
            return Reply(200, {})
        token = request.token
        if token is None:
            tenant = f"https://login.microsoftonline.com/{TENANT}"
            challenge = f'Bearer authorization="{tenant}", resource="https://vault.azure.net"'
            return Reply(401, {}, {"WWW-Authenticate": challenge})
        if str(token["aud"]).rstrip("/") != "https://vault.azure.net":
            return refusal(401, "Unauthorized", f"Wrong audience: {token['aud']}")
        allowed = holds(self._state(), resource["id"], token["oid"], "Key Vault Secrets Officer")
        if not allowed or self._faults.is_denied(request.host):
            return _forbidden("ForbiddenByRbac", "Caller is not authorized to perform action on resource.")
        if resource["properties"].get("publicNetworkAccess") == "Disabled":
            return _forbidden("ForbiddenByConnection", "Public network access is disabled.")
        vault = self._state().vaults.setdefault(name, Vault())
        kind, secret, *_ = [*request.path.strip("/").split("/"), ""]
        if kind == "deletedsecrets":
            return self._deleted(request, vault, secret)
        return self._secret(request, vault, secret)

    def _secret(self, request: Request, vault: Vault, name: str) -> Reply:
        if request.method == "PUT":
            if name in vault.deleted:
                error = {
                    "code": "Conflict",
                    "message": "deleted",
                    "innererror": {"code": "ObjectIsDeletedButRecoverable"},
                }
                return Reply(409, {"error": error})
            secret = vault.secrets.setdefault(name, Secret(tags=request.body.get("tags", {})))
            secret.versions.append((f"{self._state().next_number():032x}", str(request.body["value"])))
        if name not in vault.secrets:
            return refusal(404, "SecretNotFound", f"A secret with the name {name} was not found.")
        if request.method == "DELETE":
            vault.deleted[name] = vault.secrets.pop(name)
            return Reply(200, _shown(request.host, name, vault.deleted[name]))
        return Reply(200, _shown(request.host, name, vault.secrets[name]))

    def _deleted(self, request: Request, vault: Vault, name: str) -> Reply:
        if name not in vault.deleted:
            return refusal(404, "SecretNotFound", f"A deleted secret {name} was not found.")
        if request.method == "POST":
            vault.secrets[name] = vault.deleted.pop(name)
            return Reply(200, _shown(request.host, name, vault.secrets[name]))
        recovery = {"recoveryId": f"https://{request.host}/deletedsecrets/{name}", "deletedDate": 1}
        return Reply(
            200, _shown(request.host, name, vault.deleted[name]) | recovery | {"scheduledPurgeDate": 2}
        )


def _shown(host: str, name: str, secret: Secret) -> dict[str, object]:
    version, value = secret.versions[-1]
    return {"value": value, "id": f"https://{host}/secrets/{name}/{version}", "attributes": {"enabled": True}}


def _forbidden(inner: str, message: str) -> Reply:
    return Reply(403, {"error": {"code": "Forbidden", "message": message, "innererror": {"code": inner}}})
