"""`local-gateway --tls`, and gateways that show a certificate, on every engine."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from scripts.engines import choose_engine, start_files
from scripts.engines.base import Tls
from tests.engines.support import apisix_yaml, config_yaml, write_plugins
from tests.engines.test_local_gateway import SETTINGS
from tests.engines.test_reload import SAY, says
from tests.support.certificates import make_certificate
from tests.support.local_gateway import local_gateway, url_in


class Served(NamedTuple):
    """A gateway that serves, and what it has announced."""

    announced: str
    url: str
    home: Path

    @property
    def authority(self) -> Path:
        return self.home / ".local" / "share" / "azure-openai-gateway" / "tls" / "authority.pem"

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    with local_gateway(home, SETTINGS, "--tls", "--engine", engine) as (_, announced):
        yield Served(announced, url_in(announced), home)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_serves_those_who_trust_its_authority(served: Served, host: str) -> None:
    url = served.url.replace("127.0.0.1", host)
    assert httpx.get(f"{url}/health/live", verify=served.trusting).status_code == 200


def test_nobody_else_is_talked_into_it(served: Served) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"{served.url}/health/live")


def test_who_speaks_plain_http_is_told(served: Served) -> None:
    answer = httpx.get(f"{served.url.replace('https:', 'http:')}/health/live")
    assert (answer.status_code, answer.json()["error"]["code"]) == (426, "https_required")


@pytest.mark.parametrize(
    "text",
    [
        "Made a certificate authority for this machine.",
        "SSL_CERT_FILE={}/trusted.pem",
        "REQUESTS_CA_BUNDLE={}/trusted.pem",
        "NODE_EXTRA_CA_CERTS={}/authority.pem",
    ],
)
def test_it_says_how_clients_come_to_trust_it(served: Served, text: str) -> None:
    assert text.format(served.authority.parent) in served.announced


def test_the_live_page_is_served_too(served: Served) -> None:
    assert httpx.get(f"{served.url}/live", verify=served.trusting).status_code == 200


def test_no_key_is_shown_or_logged(served: Served) -> None:
    files = [Path(line.split()[-1]) for line in served.announced.splitlines() if line.endswith(".log")]
    assert "PRIVATE KEY" not in served.announced + "".join(file.read_text() for file in files)


def test_only_its_user_can_read_the_key(served: Served) -> None:
    [line] = [line for line in served.announced.splitlines() if line.startswith("  files")]
    files = [path for path in Path(line.split()[-1]).rglob("*") if path.is_file() and not path.is_symlink()]
    with_key = [path for path in files if "PRIVATE KEY" in path.read_text(errors="replace")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in with_key} == {0o600}


def test_the_next_gateway_has_the_same_authority(tmp_path: Path) -> None:
    for _ in range(2):
        with local_gateway(tmp_path, SETTINGS, "--tls", "--engine", "embedded") as (_, announced):
            pass
    assert "Made a certificate authority" not in announced


def test_a_damaged_authority_is_told_and_renewed(tmp_path: Path) -> None:
    with local_gateway(tmp_path, SETTINGS, "--tls", "--engine", "embedded") as (_, announced):
        first = Served(announced, url_in(announced), tmp_path)
    first.authority.write_text("")
    with local_gateway(tmp_path, SETTINGS, "--tls", "--engine", "embedded") as (_, announced):
        second = Served(announced, url_in(announced), tmp_path)
        assert httpx.get(f"{second.url}/health/live", verify=second.trusting).status_code == 200
    assert "is damaged: made a new one" in announced


def test_a_reload_keeps_the_certificate(tmp_path: Path, engine: str) -> None:
    certificate = make_certificate(tmp_path)
    end = "-----END CERTIFICATE-----\n"
    public, _, key = certificate.chain_and_key.read_text().partition(end)
    tls = Tls(public + end, key)
    write_plugins(tmp_path, {"say": SAY})
    files = {"apisix.yaml": apisix_yaml(**says("old")), "config.yaml": config_yaml(tmp_path, ["say"])}
    with start_files(files, engine=choose_engine(engine)[0], tls=tls) as gateway:
        gateway.replace_configuration(apisix_yaml(**says("new")))
        trusting = ssl.create_default_context(cafile=str(certificate.pem))
        assert httpx.get(f"{gateway.url}/say", verify=trusting).text == "new"
