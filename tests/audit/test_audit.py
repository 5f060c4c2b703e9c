"""`make audit`: parts, licences and known vulnerabilities."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts.audit.parts import LUA_LIBRARIES, image_components, licence_of, lua_components
from scripts.audit.vulnerabilities import UnreachableError, known_vulnerabilities, python_pins
from scripts.engines.base import REPOSITORY

ADVISORY = json.loads((Path(__file__).parent / "data" / "osv.json").read_text())
BILL = [
    {
        "type": "library",
        "name": "example-package",
        "version": "1.2.3",
        "purl": "pkg:pypi/example-package@1.2.3",
    },
    {"type": "library", "name": "fine", "version": "2.0", "purl": "pkg:pypi/fine@2.0"},
    {"type": "library", "name": "lyaml", "version": "6.2.8", "purl": "pkg:luarocks/lyaml@6.2.8"},
]


@pytest.fixture
def database() -> Iterator[str]:
    """Answers as osv.dev does, with a recorded advisory for one package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(ADVISORY if asked["package"]["name"] == "example-package" else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def test_a_known_vulnerability_is_named_with_its_fix(database: str) -> None:
    found = known_vulnerabilities(python_pins(BILL), database)
    assert found == ["example-package 1.2.3: EXAMPLE-2026-0001, fixed in 1.2.4"]


def test_a_database_that_cannot_be_reached_is_told_apart_from_no_vulnerability() -> None:
    with pytest.raises(UnreachableError):
        known_vulnerabilities(python_pins(BILL), "http://127.0.0.1:9/v1/query")


def test_every_lua_library_of_apisix_has_a_version_and_a_licence() -> None:
    parts = lua_components(LUA_LIBRARIES.read_text())
    assert [part["name"] for part in parts if not part["version"] or not licence_of(part)] == []


def test_the_images_that_we_build_on_are_parts() -> None:
    parts = image_components([(REPOSITORY / "apisix" / "image" / "Dockerfile").read_text()])
    assert [(part["name"], part["version"]) for part in parts] == [
        ("docker.io/apache/apisix", "3.18.0-debian")
    ]


@pytest.mark.parametrize(
    ("licences", "word"),
    [
        ([{"license": {"id": "MIT"}}], "MIT"),
        ([{"expression": "Apache-2.0 OR BSD-2-Clause"}], "Apache-2.0 OR BSD-2-Clause"),
        ([{"license": {"name": "BSD"}}, {"license": {"name": "BSD"}}], "BSD"),
        ([], ""),
    ],
)
def test_a_licence_in_one_word(licences: list[dict[str, object]], word: str) -> None:
    assert licence_of({"licenses": licences}) == word
