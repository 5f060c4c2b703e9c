"""The embedded engine's `resty.http` over TLS: it verifies certificates unless it is told not to."""

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.engines.raw_server import RawServer
from tests.engines.support import Lua

ANSWER = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]
CONNECT = """
local http = require("resty.http").new()
http:set_timeouts(5000, 5000, 5000)
if verify == ngx.null then
    verify = nil
end
local ok, err = http:connect({
    scheme = "https", host = "127.0.0.1", port = port, ssl_verify = verify, ssl_server_name = "tests.example",
})
if not ok then
    return false, err
end
local body = assert(http:request({ path = "/" })):read_body()
http:set_keepalive(1000, 1)
return true, body
"""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's context with a certificate that no client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("verify", [True, None], ids=["asked-for", "by-default"])
def test_a_certificate_that_is_not_trusted_is_refused(
    lua: Lua, tls: ssl.SSLContext, verify: bool | None
) -> None:
    with RawServer([ANSWER, RawServer.HOLD], tls=tls) as server:
        ok, err = lua(CONNECT, port=server.port, verify=verify)
    assert (ok, "certificate" in err) == (False, True)


def test_without_verification_any_certificate_will_do(lua: Lua, tls: ssl.SSLContext) -> None:
    with RawServer([ANSWER, RawServer.HOLD], tls=tls) as server:
        assert lua(CONNECT, port=server.port, verify=False) == [True, "ok"]


def test_a_connection_without_verification_is_not_used_for_a_verified_request(
    lua: Lua, tls: ssl.SSLContext
) -> None:
    with RawServer([ANSWER, RawServer.HOLD], tls=tls) as server:
        lua(CONNECT, port=server.port, verify=False)
        assert lua(CONNECT, port=server.port, verify=True)[0] is False
