"""The authority of `local-gateway --tls`: when it is made, mended and renewed, and what it is good for."""

from __future__ import annotations

import datetime
import os
import ssl
import stat
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from scripts import local_authority
from scripts.engines import EngineError
from scripts.local_authority import LocalAuthority, open_authority, user_directory


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tls"


def opened(directory: Path, **env: str) -> LocalAuthority:
    return open_authority(directory, env)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_belongs_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_directory({}) == tmp_path / ".local" / "share" / "azure-openai-gateway" / "tls"


def test_xdg_data_home_moves_it() -> None:
    assert user_directory({"XDG_DATA_HOME": "/data"}) == Path("/data/azure-openai-gateway/tls")


def test_it_is_made_once(directory: Path) -> None:
    first, second = opened(directory), opened(directory)
    assert (first.certificate, second.notes) == (second.certificate, ())


def test_it_says_that_it_was_made(directory: Path) -> None:
    assert opened(directory).notes == ("Made a certificate authority for this machine.",)


def test_gateways_that_start_together_share_one(directory: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: opened(directory).certificate.serial_number, range(8)))
    assert len(found) == 1


def test_only_its_user_can_read_the_key_and_enter_the_directory(directory: Path) -> None:
    before = os.umask(0)
    try:
        opened(directory)
    finally:
        os.umask(before)
    assert (mode(directory), mode(directory / "authority-key.pem")) == (0o700, 0o600)


@pytest.mark.parametrize("name", ["authority-key.pem", "."])
def test_permissions_that_are_too_wide_are_corrected_and_told(directory: Path, name: str) -> None:
    opened(directory)
    (directory / name).chmod(0o755)
    notes = opened(directory).notes
    assert (mode(directory / name) & 0o077, ["was open to other users" in note for note in notes]) == (
        0,
        [True],
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["authority-key.pem", "."])
def test_what_belongs_to_another_user_is_an_error(directory: Path, name: str) -> None:
    opened(directory)
    os.chown(directory / name, 12345, -1)
    with pytest.raises(EngineError, match=r"belongs to another user \(id 12345\)"):
        opened(directory)


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(EngineError, match="the local authority cannot be kept in"):
        opened(tmp_path / "data" / "tls")


def damaged(directory: Path) -> None:
    (directory / "authority.pem").write_text("-----BEGIN CERTIFICATE-----\nno certificate\n")


def damaged_key(directory: Path) -> None:
    (directory / "authority-key.pem").write_text("")


def without_key(directory: Path) -> None:
    (directory / "authority-key.pem").unlink()


def with_another_key(directory: Path) -> None:
    key = opened(directory.with_name("other")).directory / "authority-key.pem"
    key.replace(directory / "authority-key.pem")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (damaged, "is damaged"),
        (damaged_key, "is damaged"),
        (without_key, "has lost authority-key.pem"),
        (with_another_key, "has another key"),
    ],
)
def test_one_that_cannot_be_used_is_made_anew(
    directory: Path, harm: Callable[[Path], None], why: str
) -> None:
    first = opened(directory)
    harm(directory)
    second = opened(directory)
    assert second.certificate != first.certificate
    [note] = second.notes
    assert (why in note, "made a new one" in note) == (True, True), note


def test_one_that_ends_soon_is_made_anew(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(local_authority, "_AUTHORITY", datetime.timedelta(days=20))
        first = opened(directory)
    second = opened(directory)
    assert f"ends on {first.certificate.not_valid_after_utc:%Y-%m-%d}" in second.notes[0]
    assert second.certificate.not_valid_after_utc > first.certificate.not_valid_after_utc


def verify(authority: LocalAuthority, pem: Path, name: str) -> str:
    """What OpenSSL says of a server's certificate for a name or an address."""
    option = "-verify_ip" if name[0] in ":1" else "-verify_hostname"
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", str(authority.pem), option, name, str(pem)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_strict_client_accepts_its_certificate_for_this_machine(
    directory: Path, tmp_path: Path, name: str
) -> None:
    authority = opened(directory)
    server = tmp_path / "server.pem"
    server.write_text(authority.issue().certificate)
    assert "server.pem: OK" in verify(authority, server, name)


def test_it_cannot_vouch_for_another_server(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = opened(directory)
    monkeypatch.setattr(local_authority, "_SERVER_NAMES", [x509.DNSName("www.example.com")])
    server = tmp_path / "server.pem"
    server.write_text(authority.issue().certificate)
    assert "permitted subtree violation" in verify(authority, server, "www.example.com")


def test_a_server_s_certificate_ends_before_its_authority(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_authority, "_AUTHORITY", datetime.timedelta(days=40))
    authority = opened(directory)
    certificate = x509.load_pem_x509_certificate(authority.issue().certificate.encode())
    assert certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_a_key_is_not_shown_by_accident(directory: Path) -> None:
    assert "PRIVATE KEY" not in repr(opened(directory).issue())


def subjects(bundle: Path) -> set[str]:
    context = ssl.create_default_context(cafile=str(bundle))
    return {str(found["subject"]) for found in context.get_ca_certs()}


def test_who_trusts_the_bundle_trusts_what_was_trusted_before(directory: Path, tmp_path: Path) -> None:
    other = opened(tmp_path / "somebody-elses")
    authority = opened(directory, SSL_CERT_FILE=str(other.pem))
    assert authority.bundle.read_text() == authority.pem.read_text() + other.pem.read_text()


def test_the_bundle_has_the_system_s_certificates(directory: Path) -> None:
    if local_authority.system_certificates() is None:
        pytest.skip("this system has no file of certificates")
    assert len(subjects(opened(directory).bundle)) > 2


def test_the_bundle_does_not_grow_by_its_own_use(directory: Path) -> None:
    first = opened(directory).bundle.read_text()
    assert opened(directory, SSL_CERT_FILE=str(directory / "trusted.pem")).bundle.read_text() == first
