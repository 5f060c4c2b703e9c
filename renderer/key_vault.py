"""Settings from Azure Key Vault: secret `azure-openai-key-0` is variable `AZURE_OPENAI_KEY_0`.

Listing the secrets reads no value. Only the secrets that the model knows are fetched, several at a time. The
vault's certificate is checked with the system's store, or with the file that `REQUESTS_CA_BUNDLE` names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import RetryPolicy
from azure.keyvault.secrets import ApiVersion, SecretClient

from renderer.problems import (
    KeyVaultError,
    KeyVaultPermissionError,
    KeyVaultThrottledError,
    KeyVaultUnreachableError,
)

API_VERSION = ApiVersion.V7_5
"""Pinned, so an upgrade of the SDK does not change the requests."""

# Eight at a time read hundreds of secrets in a second or two. The vault allows 4000 requests in 10 s.
_CONCURRENT_READS = 8

# Pauses of 0.5 s, 1 s, 2 s … unless the vault's Retry-After says otherwise: half a minute in all.
_THROTTLE_RETRIES = 6
_CONNECT_RETRIES = 2
_BACKOFF_SECONDS = 0.5
_BACKOFF_MAX_SECONDS = 16
_LONGEST_RETRY_AFTER_SECONDS = 30
_CONNECT_TIMEOUT_SECONDS = 5
_READ_TIMEOUT_SECONDS = 20

logging.getLogger("azure").addHandler(logging.NullHandler())  # failures are reported below


def read_vault(
    url: str,
    wanted: Callable[[str], bool],
    client_id: str | None = None,
    credential: TokenCredential | None = None,
) -> dict[str, str]:
    """Read the secrets of the vault at `url` whose variables are wanted; returns texts by variable.

    `client_id` chooses a user-assigned managed identity. `credential` replaces the default chain of
    environment, workload identity, managed identity and developer tools. Raises a `KeyVaultError`.
    Example: a vault with the secret `redis-password` → `{"REDIS_PASSWORD": "its text"}`.
    """
    try:
        with _client(url, credential or _default_credential(client_id)) as client:
            names = [name for name in _enabled_names(client) if wanted(variable_of(name))]
            return _values(client, names)
    except (AzureError, ValueError) as error:
        _explain(url, error)
    except OSError:  # the only file that reading a vault needs
        raise KeyVaultUnreachableError(
            url,
            "the certificates to check it with cannot be read",
            "Correct REQUESTS_CA_BUNDLE (the path of a readable PEM file), or remove it",
        ) from None


def variable_of(secret_name: str) -> str:
    """The variable of a secret; vaults ignore case. Example: `azure-openai-key-0` → `AZURE_OPENAI_KEY_0`."""
    return secret_name.upper().replace("-", "_")


def _client(url: str, credential: TokenCredential) -> SecretClient:
    return SecretClient(
        url,
        credential,
        api_version=API_VERSION,
        retry_policy=_Retries(
            retry_total=_THROTTLE_RETRIES,
            retry_connect=_CONNECT_RETRIES,
            retry_read=_CONNECT_RETRIES,
            retry_status=_THROTTLE_RETRIES,
            retry_backoff_factor=_BACKOFF_SECONDS,
            retry_backoff_max=_BACKOFF_MAX_SECONDS,
        ),
        connection_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=_READ_TIMEOUT_SECONDS,
    )


class _Retries(RetryPolicy[Any, Any]):
    """Waits as long as the vault asks, but never so long that the start seems to hang."""

    def get_retry_after(self, response: PipelineResponse[Any, Any]) -> float | None:
        """Seconds until the next attempt; None when the vault does not say."""
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _LONGEST_RETRY_AFTER_SECONDS)


def _default_credential(client_id: str | None) -> TokenCredential:
    from azure.identity import DefaultAzureCredential

    if client_id is None:
        return DefaultAzureCredential()
    return DefaultAzureCredential(managed_identity_client_id=client_id)


def _enabled_names(client: SecretClient) -> Iterable[str]:
    for secret in client.list_properties_of_secrets():
        if secret.name and secret.enabled:
            yield secret.name


def _values(client: SecretClient, names: list[str]) -> dict[str, str]:
    def read(name: str) -> str:
        try:
            return client.get_secret(name).value or ""
        except ResourceNotFoundError:
            return ""  # deleted since it was listed
        except HttpResponseError as error:
            if _inner_code(error) != "SecretDisabled":
                raise
            return ""  # disabled since it was listed

    with ThreadPoolExecutor(_CONCURRENT_READS) as pool:
        reads = {variable_of(name): pool.submit(read, name) for name in names}
        try:
            return {variable: future.result() for variable, future in reads.items()}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _explain(url: str, error: AzureError | ValueError) -> NoReturn:
    """Raise the fitting error in our own words: the SDK's texts may repeat headers and tokens."""
    if isinstance(error, ClientAuthenticationError) and error.response is None:
        raise KeyVaultPermissionError(
            url,
            "no Azure identity could sign in to read it",
            "Give the container a managed identity (AZURE_CLIENT_ID if user-assigned), or run az login",
        ) from None
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        raise _refusal(url, error.status_code, error) from None
    raise KeyVaultUnreachableError(url, *_unreachable(str(error))) from None


def _refusal(url: str, status: int, error: HttpResponseError) -> KeyVaultError:
    if status == 403 and "Firewall" in _inner_code(error):
        return KeyVaultPermissionError(
            url,
            "its firewall does not let this network in (403 Forbidden)",
            "Allow the gateway's subnet in the vault's networking, or use its private endpoint",
        )
    if status == 403:
        return KeyVaultPermissionError(
            url,
            "the identity may not read its secrets (403 Forbidden)",
            "Grant it the role Key Vault Secrets User on the vault; a new grant takes some minutes to work",
        )
    if status == 401:
        return KeyVaultPermissionError(
            url,
            "it does not accept the identity's token (401 Unauthorized)",
            "Check that the identity and the vault belong to the same tenant",
        )
    if status == 429:
        return KeyVaultThrottledError(
            url,
            f"it still answered 429 Too Many Requests after {_THROTTLE_RETRIES} retries",
            "Try again in a minute. If that does not help, find out what else reads this vault so often",
        )
    return KeyVaultUnreachableError(
        url, f"it answered HTTP {status}", "Check that KEY_VAULT_URL is a vault, and Azure's service health"
    )


def _inner_code(error: HttpResponseError) -> str:
    inner = getattr(error.error, "innererror", None)
    return str(inner.get("code", "")) if isinstance(inner, dict) else ""


def _unreachable(text: str) -> tuple[str, str]:
    """What happened and what to do, for a failure below HTTP; told from the SDK's text."""
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return (
            "its TLS certificate is not trusted here",
            "Check KEY_VAULT_URL; behind an inspecting proxy, set REQUESTS_CA_BUNDLE to its certificates",
        )
    if any(
        sign in text for sign in ("Failed to resolve", "Name or service", "getaddrinfo", "NameResolution")
    ):
        return (
            "there is no such host",
            "Check the vault's name in KEY_VAULT_URL, and the private DNS zone if it has a private endpoint",
        )
    if any(sign in text for sign in ("refused", "timed out", "unreachable", "Connection")):
        return "it cannot be reached", "Check KEY_VAULT_URL and the network path to the vault"
    return "it does not answer like a Key Vault", "Check KEY_VAULT_URL: https://<vault name>.vault.azure.net"
