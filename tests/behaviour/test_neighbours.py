"""What others in the same network reach and can forge: APISIX's own pages, and the address of a client."""

from __future__ import annotations

import httpx
import pytest

from tests.behaviour.conftest import Stage
from tests.behaviour.support import record_of

LOOPBACK_ONLY = {"GATEWAY_LOG_MODE": "test", "GATEWAY_TRUSTED_PROXIES": "127.0.0.1/32"}

# All that APISIX 3.18.0 can answer by itself. Sources: its apisix/cli/ngx_tpl.lua (locations), control/v1.lua
# (control API), admin/init.lua (Admin API), and `_M.api` of its plugins.
OF_APISIX = [
    "/apisix/nginx_status",
    "/apisix//nginx_status",
    "/apisix/%6Eginx_status",
    "/apisix/x/../nginx_status",
    "/apisix/nginx_status/",
    "/apisix/nginx_status%0A",
    "/apisix/status",
    "/apisix/prometheus/metrics",
    "/apisix/batch-requests",
    "/apisix/plugin/wolf-rbac/login",
    "/apisix/plugin/wolf-rbac/change_pwd",
    "/apisix/plugin/wolf-rbac/user_info",
    "/apisix/plugin/graphql-proxy-cache/x/y/z",
    "/apisix/plugin/jwt/sign",
    "/apisix/admin/routes",
    "/apisix/admin/configs",
    "/apisix/admin/plugins/list",
    "/apisix/dashboard",
    "/ui",
    "/ui/",
    "/status",
    "/status/ready",
    "/proxy_mirror",
    "/proxy_mirror_grpc",
    "/v1/schema",
    "/v1/healthcheck",
    "/v1/healthcheck/routes/1",
    "/v1/gc",
    "/v1/routes",
    "/v1/route/1",
    "/v1/services",
    "/v1/service/1",
    "/v1/upstreams",
    "/v1/upstream/1",
    "/v1/plugin_metadatas",
    "/v1/plugin_metadata/azure-openai-auth",
    "/v1/plugins/reload",
    "/v1/plugin/example-plugin/hello",
    "/v1/plugin/server-info",
    "/v1/plugin/prometheus/metrics",
]


def test_s4_what_apisix_itself_could_answer_is_404(stage: Stage) -> None:
    # The test comes from the loopback address, which APISIX's own pages trust.
    client = stage.http(stage.gateway(["eastus"]), key=None)
    answers = {
        (method, path): client.request(method, "/", extensions={"target": path.encode()})
        for path in OF_APISIX
        for method in ("GET", "POST")
    }
    open_ones = [
        (*asked, answer.status_code, answer.text)
        for asked, answer in answers.items()
        if answer.status_code != 404 or answer.json()["error"]["code"] is None
    ]
    assert open_ones == []


@pytest.mark.parametrize(
    ("forwarded_for", "known_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("127.0.0.1, 203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7, 127.0.0.1", "203.0.113.7"),
        ("198.51.100.1, 127.0.0.1", "198.51.100.1"),
        ("nobody", "127.0.0.1"),
    ],
    ids=["of a client", "forged by a client", "through two proxies", "forged by a trusted hop", "no address"],
)
def test_the_address_of_a_client_is_the_last_one_that_no_trusted_hop_has(
    stage: Stage, forwarded_for: str, known_as: str
) -> None:
    gateway = stage.gateway(["eastus"], **LOOPBACK_ONLY)
    httpx.get(f"{gateway.url}/openai/v1/models", headers={"X-Forwarded-For": forwarded_for})
    assert record_of(gateway)["client_address"] == known_as


def test_who_is_no_trusted_hop_cannot_forge_an_address(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **LOOPBACK_ONLY | {"GATEWAY_TRUSTED_PROXIES": "100.100.0.0/17"})
    httpx.get(f"{gateway.url}/openai/v1/models", headers={"X-Forwarded-For": "203.0.113.7"})
    assert record_of(gateway)["client_address"] == "127.0.0.1"
