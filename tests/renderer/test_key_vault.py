"""Settings from Key Vault, read with the real Azure SDK."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from azure.core.pipeline.transport import RequestsTransport

from renderer import ConfigurationError, load_settings, names
from renderer.key_vault import read_vault, variable_of
from renderer.problems import (
    KeyVaultError,
    KeyVaultPermissionError,
    KeyVaultThrottledError,
    KeyVaultUnreachableError,
)
from tests.renderer.support import env
from tests.support.certificates import Certificate, make_certificate
from tests.support.identity import identity_endpoint
from tests.support.key_vault import FixedToken, KeyVaultEmulator
from tests.support.measuring import measuring
from tests.support.scripted_vault import TENANT, THROTTLED, Answer, ScriptedVault, forbidden

REPOSITORY = Path(__file__).resolve().parents[2]


def read(vault: ScriptedVault) -> dict[str, str]:
    return read_vault(vault.url, names.is_known, credential=FixedToken())


def failure(vault: ScriptedVault) -> KeyVaultError:
    with pytest.raises(KeyVaultError) as caught:
        read(vault)
    assert "test-token" not in str(caught.value)
    return caught.value


def test_a_secret_is_named_after_its_variable() -> None:
    assert variable_of("azure-openai-key-0") == "AZURE_OPENAI_KEY_0"
    assert variable_of("Azure-OpenAI-KEY-0") == "AZURE_OPENAI_KEY_0"


def test_the_secrets_become_variables(vault: ScriptedVault) -> None:
    vault.secrets = {"azure-openai-key-0": "key-0", "redis-password": "pass"}
    assert read(vault) == {"AZURE_OPENAI_KEY_0": "key-0", "REDIS_PASSWORD": "pass"}


def test_only_names_that_the_model_knows_are_read(vault: ScriptedVault) -> None:
    vault.secrets = {"azure-openai-key-0": "key-0", "payroll-password": "x", "azure-openai-typo-0": "y"}
    read(vault)
    assert vault.secrets_read == ["azure-openai-key-0"]


def test_a_disabled_secret_is_not_read(vault: ScriptedVault) -> None:
    vault.secrets = {"azure-openai-key-0": "key-0", "azure-openai-key-1": "key-1"}
    vault.disabled = {"azure-openai-key-1"}
    assert read(vault) == {"AZURE_OPENAI_KEY_0": "key-0"}


def test_a_secret_that_is_disabled_while_the_vault_is_read_is_not_there(vault: ScriptedVault) -> None:
    vault.secrets = {"azure-openai-key-0": "key-0", "azure-openai-key-1": "key-1"}
    vault.disabled_since_listed = {"azure-openai-key-1"}
    assert read(vault) == {"AZURE_OPENAI_KEY_0": "key-0", "AZURE_OPENAI_KEY_1": ""}


def test_a_long_list_is_read_page_by_page(vault: ScriptedVault) -> None:
    vault.secrets = {f"azure-openai-key-{n}": f"key-{n}" for n in range(60)}
    assert len(read(vault)) == 60


def test_secrets_are_read_concurrently(vault: ScriptedVault) -> None:
    vault.secrets = {f"azure-openai-key-{n}": f"key-{n}" for n in range(4)}
    vault.gate = threading.Barrier(4)  # each read waits until all four are under way
    assert len(read(vault)) == 4


def test_throttling_that_passes_is_not_noticed(vault: ScriptedVault) -> None:
    vault.secrets = {"azure-openai-key-0": "key-0"}
    vault.faults = [THROTTLED, THROTTLED, THROTTLED]
    assert read(vault) == {"AZURE_OPENAI_KEY_0": "key-0"}


@pytest.mark.parametrize(("asked", "waited"), [("7", 7), ("86400", 30)])
def test_a_vault_is_waited_for_as_long_as_it_asks_but_not_for_hours(
    vault: ScriptedVault, monkeypatch: pytest.MonkeyPatch, asked: str, waited: int
) -> None:
    sleeps: list[float] = []
    monkeypatch.setattr(RequestsTransport, "sleep", lambda _self, seconds: sleeps.append(seconds))
    vault.faults = [replace(THROTTLED, headers={"Retry-After": asked})]
    read(vault)
    assert sleeps == [waited]


def test_throttling_that_stays_is_an_error_of_its_own(vault: ScriptedVault) -> None:
    vault.endless_fault = THROTTLED
    error = failure(vault)
    assert isinstance(error, KeyVaultThrottledError)
    assert "429" in error.message
    assert len(vault.paths) == 7  # the request and its six retries


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        (forbidden("ForbiddenByRbac"), "Key Vault Secrets User"),
        (forbidden("ForbiddenByPolicy"), "Key Vault Secrets User"),
        (forbidden("ForbiddenByFirewall"), "subnet"),
        (Answer(403), "Key Vault Secrets User"),
        (Answer(401, {"error": {"code": "Unauthorized", "message": "AKV10032"}}), "same tenant"),
    ],
)
def test_missing_permission_is_an_error_of_its_own(vault: ScriptedVault, fault: Answer, remedy: str) -> None:
    vault.endless_fault = fault
    error = failure(vault)
    assert isinstance(error, KeyVaultPermissionError)
    assert remedy in error.remedy


def test_permission_to_list_but_not_to_read_is_missing_permission(vault: ScriptedVault) -> None:
    vault.secrets = {f"azure-openai-key-{n}": "key" for n in range(20)}
    vault.secrets_locked = True
    assert isinstance(failure(vault), KeyVaultPermissionError)


def test_a_refused_connection_is_unreachable() -> None:
    with pytest.raises(KeyVaultUnreachableError) as caught:
        read_vault("https://127.0.0.1:9", names.is_known, credential=FixedToken())
    assert caught.value.message == "it cannot be reached"


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(KeyVaultUnreachableError) as caught:
        read_vault("https://no-such-vault.invalid", names.is_known, credential=FixedToken())
    assert caught.value.message == "there is no such host"


def test_a_certificate_that_nobody_trusts_is_unreachable(
    vault: ScriptedVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_certificate(tmp_path).pem))
    error = failure(vault)
    assert isinstance(error, KeyVaultUnreachableError)
    assert "REQUESTS_CA_BUNDLE" in error.remedy


@pytest.mark.parametrize("status", [404, 400])
def test_an_address_that_is_no_vault_is_unreachable(vault: ScriptedVault, status: int) -> None:
    vault.endless_fault = Answer(status)
    error = failure(vault)
    assert isinstance(error, KeyVaultUnreachableError)
    assert str(status) in error.message


def test_an_invalid_configuration_is_no_key_vault_error(vault: ScriptedVault) -> None:
    vault.secrets = {"azure-openai-weight-0": "heavy"}

    def fixed(url: str, wanted: object, client_id: str | None) -> dict[str, str]:
        return read(vault)

    with pytest.raises(ConfigurationError) as caught:
        load_settings(env(KEY_VAULT_URL=vault.url), read_vault=fixed)
    assert [problem.setting for problem in caught.value.problems] == ["AZURE_OPENAI_WEIGHT_0"]


def render_config(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a container would, with a managed identity."""
    return subprocess.run(
        [sys.executable, "-m", "renderer", "--no-settings", "--output-dir", str(tmp_path)],
        env={
            **measuring(),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "HOME": str(tmp_path),
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_reads_a_vault_as_the_managed_identity(vault: ScriptedVault, tmp_path: Path) -> None:
    vault.secrets = {"azure-openai-key-0": "key-from-the-vault"}
    variables = {**env(AZURE_OPENAI_KEY_0=None), "KEY_VAULT_URL": vault.url, **vault.identity_environment}
    done = render_config(tmp_path, **variables, REQUESTS_CA_BUNDLE=os.environ["REQUESTS_CA_BUNDLE"])
    assert done.returncode == 0, done.stderr
    assert "key-from-the-vault" in (tmp_path / "apisix.yaml").read_text()


def test_the_command_reads_a_vault_as_a_workload_identity(
    vault: ScriptedVault, certificate: Certificate, tmp_path: Path
) -> None:
    vault.secrets = {"azure-openai-key-0": "key-from-the-vault"}
    token_file = tmp_path / "azure-identity-token"
    token_file.write_text("token-of-the-service-account")
    with identity_endpoint(certificate) as entra:
        identity = entra.workload_environment(token_file) | {"AZURE_TENANT_ID": TENANT}
        trust = certificate.trusting_environment
        variables = {**env(AZURE_OPENAI_KEY_0=None), "KEY_VAULT_URL": vault.url, **identity, **trust}
        done = render_config(tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert entra.requests[0].arguments["client_assertion"] == "token-of-the-service-account"


def test_the_command_reads_a_vault_as_a_virtual_machine(
    vault: ScriptedVault, certificate: Certificate, tmp_path: Path
) -> None:
    vault.secrets = {"azure-openai-key-0": "key-from-the-vault"}
    with identity_endpoint() as metadata:
        identity = metadata.metadata_environment | certificate.trusting_environment
        variables = {**env(AZURE_OPENAI_KEY_0=None), "KEY_VAULT_URL": vault.url, **identity}
        done = render_config(tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert metadata.requests[0].path == "/metadata/identity/oauth2/token"


def test_the_command_tells_a_missing_permission_in_three_lines(vault: ScriptedVault, tmp_path: Path) -> None:
    vault.endless_fault = forbidden()
    variables = {**env(), "KEY_VAULT_URL": vault.url, **vault.identity_environment}
    done = render_config(tmp_path, **variables, REQUESTS_CA_BUNDLE=os.environ["REQUESTS_CA_BUNDLE"])
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) <= 3
    assert "Key Vault Secrets User" in done.stderr


def test_the_command_tells_when_there_is_no_identity(vault: ScriptedVault, tmp_path: Path) -> None:
    variables = {**env(), "KEY_VAULT_URL": vault.url, "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}
    done = render_config(tmp_path, **variables, REQUESTS_CA_BUNDLE=os.environ["REQUESTS_CA_BUNDLE"])
    assert done.returncode == 3
    assert "no Azure identity could sign in" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.xdist_group("lowkey-vault")
def test_an_emulated_vault_is_read(lowkey_vault: KeyVaultEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lowkey_vault.certificate.trusting_environment.items():
        monkeypatch.setenv(name, value)
    lowkey_vault.set_secret("azure-openai-key-0", "key-from-the-emulator")
    lowkey_vault.set_secret("foreign-secret", "not for the gateway")
    secrets = read_vault(lowkey_vault.url, names.is_known, credential=FixedToken())
    assert secrets == {"AZURE_OPENAI_KEY_0": "key-from-the-emulator"}


@pytest.mark.xdist_group("lowkey-vault")
def test_the_command_reads_an_emulated_vault(lowkey_vault: KeyVaultEmulator, tmp_path: Path) -> None:
    lowkey_vault.set_secret("azure-openai-key-0", "key-from-the-emulator")
    done = render_config(tmp_path, **env(AZURE_OPENAI_KEY_0=None), **lowkey_vault.environment)
    assert done.returncode == 0, done.stderr
    assert "key-from-the-emulator" in (tmp_path / "apisix.yaml").read_text()
