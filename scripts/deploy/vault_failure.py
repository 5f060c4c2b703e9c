"""Why Key Vault did not answer a call well: whether the reason passes, and what the operator can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from renderer.names import secret_of
from scripts.deploy.deploy_errors import VaultError
from scripts.deploy.waiting import retry_after

CONFLICT = 409


@dataclass(frozen=True, slots=True)
class VaultFailure:
    """A failed call of the vault: its HTTP status, 0 without an answer, and its error code."""

    status: int
    code: str
    retry_after: float | None = None

    @classmethod
    def of(cls, error: AzureError) -> VaultFailure:
        """The failure behind an exception of the SDK: a 429 gives `VaultFailure(429, "Throttled", …)`."""
        if isinstance(error, HttpResponseError) and error.response is not None:
            codes = _codes(error)
            headers = getattr(error.response, "headers", None) or {}
            return cls(error.status_code or 0, codes[-1] if codes else "", retry_after(headers))
        if isinstance(error, ClientAuthenticationError):
            return cls(401, "NoToken")
        if isinstance(error, ServiceRequestError):
            return cls(0, "Unreachable")
        if isinstance(error, ServiceResponseError):
            return cls(0, "ConnectionLost")
        return cls(0, type(error).__name__)

    @property
    def passing(self) -> str | None:
        """The reason to wait for when another try can succeed; None when it cannot."""
        if self.status == 429:
            return "Key Vault is throttling"
        if self.status >= 500 or self.code == "ConnectionLost":
            return "Key Vault does not answer properly"
        if self.code == "ObjectIsBeingRecovered":
            return "is being recovered"
        if self.code == "ObjectIsBeingDeleted":
            return "is still being deleted"
        if self.status == 403 and not self._by_network and not self._disabled:
            return "access is denied, which is normal for some minutes after a role assignment"
        return None

    @property
    def _by_network(self) -> bool:
        return self.code in {"ForbiddenByFirewall", "ForbiddenByConnection"}

    @property
    def _disabled(self) -> bool:
        return self.code == "SecretDisabled"

    def explain(self, url: str, variable: str) -> VaultError:
        """The failure of a call about the secret of `variable`, and its remedy, in the operator's words."""
        what, remedy = self._words(f"Key Vault {url}", variable, f"{url}/secrets/{secret_of(variable)}")
        return VaultError(what, remedy=remedy)

    def _words(self, vault: str, variable: str, secret_id: str) -> tuple[str, str]:
        if self._by_network:
            return (
                f"{vault} does not accept connections from this address.",
                "Add it to key_vault_allowed_ip_ranges of the platform stack, or run inside its network.",
            )
        if self._disabled:
            return (
                f"{variable} is disabled in {vault}: its value cannot be compared.",
                f"Enable it: az keyvault secret set-attributes --id {secret_id} --enabled true. Or delete it "
                "there; the command then recovers it with the value in tfvars.",
            )
        if self.status == 403:
            return (
                f"{vault} denies access to its secrets.",
                "Put your object id (`az ad signed-in-user show --query id`) into deployer_principals of the "
                "platform stack and run deploy-platform: it assigns Key Vault Secrets Officer.",
            )
        if self.status == 429:
            return f"{vault} keeps throttling.", "Run the command again in some minutes."
        if self.status == 401:
            return f"{vault} did not accept the login.", "Run `az login` for the vault's tenant."
        if self.code == "Unreachable":
            return (
                f"{vault} cannot be reached.",
                "Check the network, and that the vault still exists (`aoai-gateway status`).",
            )
        return f"{vault} refused {variable} (HTTP {self.status} {self.code}).", ""


def _codes(error: HttpResponseError) -> list[str]:
    """Error codes of an answer, the innermost last: `["Forbidden", "ForbiddenByFirewall"]`."""
    outer = getattr(error.error, "code", None)
    codes = [str(outer)] if outer else []
    inner = getattr(error.error, "innererror", None)
    while isinstance(inner, Mapping) and inner:
        if inner.get("code"):
            codes.append(str(inner["code"]))
        inner = inner.get("innererror")
    return codes
