"""The steps of docs/extending.md, made in a copy of the repository, give a gateway that has what they add."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.engines.base import REPOSITORY

PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
# A path, then the first block behind it.
NEW_FILES = re.findall(r"`(apisix/[^`]+)`(?:(?!```).)*```(?:json|lua)\n(.*?)```", PAGE, re.DOTALL)
COPIED = ("apisix", "e2e", "renderer", "scripts")

# Runs in the copy. The first of two backends is throttled.
PROGRAM = """
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import httpx
from scripts.engines import start_gateway

class Backend(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"usage": {"prompt_tokens": 5, "total_tokens": 5}}).encode()
        self.send_response(429 if self.headers["api-key"] == "first-backend-key" else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

env = {"GATEWAY_CLIENT_NAME_0": "client", "GATEWAY_CLIENT_KEY_0": "key-of-the-client",
       "ENABLE_NOTICE": "true", "NOTICE_TEXT": "Maintenance on Sunday", "AZURE_OPENAI_PRIORITY_0": "1"}
for number, name in enumerate(("first", "second")):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env |= {f"AZURE_OPENAI_ENDPOINT_{number}": f"http://127.0.0.1:{server.server_port}",
            f"AZURE_OPENAI_NAME_{number}": name, f"AZURE_OPENAI_KEY_{number}": f"{name}-backend-key",
            f"AZURE_OPENAI_SURFACES_{number}": "rerank"}
with start_gateway(env, engine=sys.argv[1]) as gateway:
    answer = httpx.post(f"{gateway.url}/rerank/v1/rank", headers={"api-key": "key-of-the-client"},
                        json={"model": "ranker", "documents": ["a"]})
    headers = answer.headers
    print(answer.status_code, headers.get("x-gateway-attempts"), headers.get("x-gateway-notice"))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in NEW_FILES:
        (tmp_path / path).write_text(text)
    changes = "".join(re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL))
    subprocess.run(["git", "apply", "-C1", "-"], cwd=tmp_path, input=changes, text=True, check=True)
    return tmp_path


def test_the_steps_give_a_gateway_with_the_new_surface_and_the_new_plugin(
    copy: Path, pytestconfig: pytest.Config
) -> None:
    engine = pytestconfig.getoption("--engine")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, engine], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.stdout == "200 first:429,second:200 Maintenance on Sunday\n", done.stderr
