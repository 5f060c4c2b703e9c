"""A certificate for the loopback servers of the tests, and the environment that trusts its authority."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate of an authority of its own, in the formats that servers need."""

    pem: Path
    """The authority's certificate alone, for clients that have to trust it."""
    chain_and_key: Path
    """Certificate and private key together, for Python's ssl."""
    keystore_password: str = "changeit"

    @property
    def keystore(self) -> Path:
        """The same as PKCS #12, for Java."""
        path = self.chain_and_key.with_suffix(".p12")
        pem = self.chain_and_key.read_bytes()
        key = serialization.load_pem_private_key(pem, None)
        assert isinstance(key, rsa.RSAPrivateKey)
        encryption = serialization.BestAvailableEncryption(self.keystore_password.encode())
        certificate = x509.load_pem_x509_certificate(pem)
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(b"localhost", key, certificate, None, encryption)
        )
        return path

    @property
    def server_context(self) -> ssl.SSLContext:
        """A server's TLS context with the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_and_key)
        return context

    @property
    def trusting_environment(self) -> dict[str, str]:
        """The standard variables that make HTTP clients of a process trust the certificate."""
        return {"REQUESTS_CA_BUNDLE": str(self.pem), "SSL_CERT_FILE": str(self.pem)}


LOOPBACK: Sequence[x509.GeneralName] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
)


def make_certificate(directory: Path, names: Sequence[x509.GeneralName] = LOOPBACK) -> Certificate:
    """Write a fresh certificate, by default of 127.0.0.1 and localhost, to `directory`."""
    # Clients that are written in Rust accept no certificate that is its own authority.
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        _described("authority of the tests", "authority of the tests")
        .public_key(authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    key = _key()
    certificate = (
        _described("localhost", "authority of the tests")
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = Certificate(directory / "ca.pem", directory / "server.pem")
    made.pem.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.chain_and_key.write_bytes(public + private)
    return made


@cache
def _key() -> rsa.RSAPrivateKey:
    """One key for all certificates of a process: making it takes longer than most tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _described(subject: str, issuer: str) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )
