"""Lowkey Vault, an emulator of Key Vault, as a fixture: `lowkey_vault`.

The jar comes from Maven Central into the repository's `.cache/` (ignored by git). Each test process runs an
emulator of its own on free ports, so tests can run in parallel. The vault listens on loopback; the emulator's
token endpoint, which hands out worthless tokens, listens on every address and cannot be told otherwise.
Without Java, Maven or the jar the tests that need it are skipped, and say how to get them.
"""

from __future__ import annotations

import fcntl
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.keyvault.secrets import ApiVersion, SecretClient

from scripts.engines.ports import free_ports
from tests.support.certificates import Certificate, make_certificate

ARTIFACT = "com.github.nagyesta.lowkey-vault:lowkey-vault-app"
VERSION = "3.4.33"
API_VERSION = ApiVersion.V7_5

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "lowkey-vault"
_START_SECONDS = 180
_DOWNLOAD_SECONDS = 300


class FixedToken:
    """A credential for emulators, which accept any token."""

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        return AccessToken("test-token", int(time.time()) + 3600)


@dataclass(frozen=True)
class KeyVaultEmulator:
    """A running emulator."""

    url: str
    certificate: Certificate
    token_url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a process finds the vault, trusts its certificate and gets a token."""
        return {
            "KEY_VAULT_URL": self.url,
            "IDENTITY_ENDPOINT": self.token_url,
            "IDENTITY_HEADER": "test-identity-header",
            **self.certificate.trusting_environment,
        }

    def set_secret(self, name: str, value: str) -> None:
        """Store a secret, through the real SDK."""
        with SecretClient(
            self.url, FixedToken(), api_version=API_VERSION, connection_verify=str(self.certificate.pem)
        ) as client:
            client.set_secret(name, value)


@pytest.fixture(scope="session")
def lowkey_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVaultEmulator]:
    """An emulated Key Vault, empty at the start of the session."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("Lowkey Vault needs Java 17 or later: install a JRE (Debian: openjdk-17-jre-headless)")
    jar = _jar()
    directory = tmp_path_factory.mktemp("lowkey-vault")
    certificate = make_certificate(directory)
    port, token_port = free_ports(2)
    log = directory / "lowkey-vault.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [java, "-XX:TieredStopAtLevel=1", "-jar", str(jar), *_options(port, token_port, certificate)],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
        )
    try:
        _wait_until_up(process, port, certificate, log)
        token_url = f"http://127.0.0.1:{token_port}/metadata/identity/oauth2/token"
        yield KeyVaultEmulator(f"https://127.0.0.1:{port}", certificate, token_url)
    finally:
        # It has nothing to save.
        process.kill()
        process.wait()


def _options(port: int, token_port: int, certificate: Certificate) -> list[str]:
    return [
        "--server.address=127.0.0.1",
        f"--server.port={port}",
        f"--app.token.port={token_port}",
        f"--server.ssl.key-store=file:{certificate.keystore}",
        f"--server.ssl.key-store-password={certificate.keystore_password}",
        # The parent domain of 127.0.0.1, so that the SDK's check of the challenge passes unchanged.
        f"--LOWKEY_AUTH_RESOURCE=0.0.1:{port}",
    ]


def _jar() -> Path:
    """The emulator's jar, downloaded once: test processes that run in parallel wait for the first."""
    jar = _CACHE / f"lowkey-vault-app-{VERSION}.jar"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "download.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = _CACHE / "unavailable"
        if not jar.is_file() and not _tried_lately(missing):
            _download(missing)
    if not jar.is_file():
        pytest.skip(f"Maven Central did not give {ARTIFACT}:{VERSION}; put {jar.name} into {_CACHE} by hand")
    return jar


def _tried_lately(marker: Path) -> bool:
    """Whether a download failed within the last hour; then other processes of the session do not try."""
    return marker.is_file() and time.time() - marker.stat().st_mtime < 3600


def _download(missing: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("Lowkey Vault is fetched with Maven: install it (Debian: maven)")
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
    try:
        subprocess.run(
            [maven, "-B", "-q", goal, f"-Dartifact={ARTIFACT}:{VERSION}", f"-DoutputDirectory={_CACHE}"],
            capture_output=True,
            timeout=_DOWNLOAD_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError:
        missing.touch()


def _wait_until_up(process: subprocess.Popen[bytes], port: int, certificate: Certificate, log: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate.pem))
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"Lowkey Vault ended at its start:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{port}/ping", timeout=2, context=context):
                return
        except OSError:
            time.sleep(0.2)  # a JVM offers no event to wait for
    pytest.fail(f"Lowkey Vault did not answer within {_START_SECONDS} s:\n{log.read_text()[-2000:]}")
