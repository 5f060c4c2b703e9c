"""A scripted Key Vault, and the emulator for those who ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.certificates import Certificate, make_certificate
from tests.support.key_vault import lowkey_vault
from tests.support.scripted_vault import ScriptedVault, running_vault

__all__ = ["lowkey_vault"]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def vault(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedVault]:
    """A vault on loopback whose certificate this process trusts."""
    for name, value in certificate.trusting_environment.items():
        monkeypatch.setenv(name, value)
    with running_vault(certificate) as running:
        yield running
