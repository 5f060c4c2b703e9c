"""A certificate authority of one user, for gateways on this machine, and the files that clients trust.

Its certificates are good for localhost, 127.0.0.1 and ::1 only, and the authority's own says so. So whoever
steals its key can pretend to be a server of this machine, and no other.
"""

import datetime
import fcntl
import ipaddress
import os
import platform
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scripts.engines import EngineError
from scripts.engines.base import Tls
from scripts.engines.files import system_certificates, write_private

_AUTHORITY = datetime.timedelta(days=3650)
# Some systems refuse certificates of servers that live longer.
_SERVER = datetime.timedelta(days=397)
# An authority that ends sooner is made anew, so that none ends while a gateway runs.
_ENDS_SOON = datetime.timedelta(days=30)
_CLOCK_SKEW = datetime.timedelta(hours=1)

_ADDRESSES = ("127.0.0.1", "::1")
_SERVER_NAMES = [
    x509.DNSName("localhost"),
    *(x509.IPAddress(ipaddress.ip_address(address)) for address in _ADDRESSES),
]
_PERMITTED = [
    x509.DNSName("localhost"),
    *(x509.IPAddress(ipaddress.ip_network(address)) for address in _ADDRESSES),
]


def user_directory(env: Mapping[str, str]) -> Path:
    """The directory of this user's authority, in `XDG_DATA_HOME` or `~/.local/share`."""
    data = env.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "azure-openai-gateway" / "tls"


@dataclass(frozen=True)
class LocalAuthority:
    """An authority. `notes` says what was made or mended when it was opened."""

    directory: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    notes: tuple[str, ...] = ()

    @property
    def pem(self) -> Path:
        """The authority's certificate alone, for clients that trust it beside what they trust anyway."""
        return self.directory / "authority.pem"

    @property
    def bundle(self) -> Path:
        """The same together with the system's certificates, for clients that then trust this file only."""
        return self.directory / "trusted.pem"

    def issue(self) -> Tls:
        """A new certificate for this machine's servers; its key is kept nowhere."""
        now = datetime.datetime.now(datetime.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = (
            _builder(_name("localhost"), self.certificate.subject, key.public_key(), self.key.public_key())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(min(now + _SERVER, self.certificate.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName(_SERVER_NAMES), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(usage, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Tls(_pem_of(certificate), _pem_of_key(key))


def open_authority(directory: Path, env: Mapping[str, str]) -> LocalAuthority:
    """The authority in a directory. It is made when there is none, or none that can be used.

    Args:
        env: the environment whose `SSL_CERT_FILE`, if any, takes the place of the system's certificates.

    Raises:
        EngineError: the directory or its files cannot be used; says why.
    """
    try:
        with _locked(directory) as notes:
            notes += _protect(directory / "authority-key.pem")
            authority, problem = _read(directory)
            if authority is None:
                authority = _make(directory)
                notes.append(problem)
            _write_public(authority.bundle, _pem_of(authority.certificate) + _system_pem(directory, env))
    except OSError as error:
        raise EngineError(f"--tls: the local authority cannot be kept in {directory}: {error}") from None
    return LocalAuthority(directory, authority.certificate, authority.key, tuple(notes))


@contextmanager
def _locked(directory: Path) -> Iterator[list[str]]:
    """Holds the directory for one process; yields what was mended of its permissions."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    notes = _own(directory, 0o700)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield notes
    finally:
        os.close(descriptor)


def _protect(key_file: Path) -> list[str]:
    return _own(key_file, 0o600) if key_file.exists() else []


def _own(path: Path, mode: int) -> list[str]:
    """Gives a path these permissions; returns a line when others had some."""
    state = path.stat()
    if state.st_uid != os.getuid():
        raise EngineError(
            f"--tls: {path} belongs to another user (id {state.st_uid}): remove it, "
            "or name another directory in XDG_DATA_HOME"
        )
    if stat.S_IMODE(state.st_mode) & ~mode == 0:
        return []
    path.chmod(mode)
    return [f"{path} was open to other users (mode {stat.S_IMODE(state.st_mode):04o}); it is {mode:04o} now."]


def _read(directory: Path) -> tuple[LocalAuthority | None, str]:
    """The authority in the directory; else None and a line about the new one that has to be made."""
    files = directory / "authority.pem", directory / "authority-key.pem"
    if not any(path.exists() for path in files):
        return None, "Made a certificate authority for this machine."
    again = "made a new one, which clients have to be told to trust"
    try:
        certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
        key = serialization.load_pem_private_key(files[1].read_bytes(), password=None)
    except FileNotFoundError as error:
        lost = Path(error.filename).name
        return None, f"The certificate authority in {directory} has lost {lost}: {again}."
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None, f"The certificate authority in {directory} is damaged: {again}."
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None, f"The certificate authority in {directory} has another key: {again}."
    end = certificate.not_valid_after_utc
    if end - datetime.datetime.now(datetime.UTC) < _ENDS_SOON:
        return None, f"The certificate authority in {directory} ends on {end:%Y-%m-%d}: {again}."
    return LocalAuthority(directory, certificate, key), ""


def _make(directory: Path) -> LocalAuthority:
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Azure OpenAI gateway on {platform.node()}")
    certificate = (
        _builder(name, name, key.public_key(), key.public_key())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _AUTHORITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.NameConstraints(_PERMITTED, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    # A process that ends in between leaves a pair that does not fit, which the next one notices.
    write_private(directory / "authority-key.pem", _pem_of_key(key))
    _write_public(directory / "authority.pem", _pem_of(certificate))
    return LocalAuthority(directory, certificate, key)


def _name(text: str) -> x509.Name:
    # A common name has at most 64 characters.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> str:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def _system_pem(directory: Path, env: Mapping[str, str]) -> str:
    # Who has followed our advice has a bundle of ours in this variable, perhaps one of an older authority.
    given = Path(env.get("SSL_CERT_FILE") or directory)
    own = given.resolve().is_relative_to(directory.resolve())
    source = system_certificates() if own or not given.is_file() else given
    return source.read_text(encoding="utf-8", errors="replace") if source is not None else ""


def _write_public(path: Path, text: str) -> None:
    """Replaces a file that every user may read, so that no reader sees half of it."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.replace(path)
