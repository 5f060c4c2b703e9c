"""What a gateway does when the client goes away; the same on every engine."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from scripts.engines import Gateway
from tests.engines.support import start

STREAM = """
local plugin = require("apisix.plugin")
local _M = { version = 0.1, priority = 0, name = "endless", schema = { type = "object" } }
local dict = ngx.shared.tests

function _M.access(conf, ctx)
    ctx.bypass_nginx_upstream = true
end

function _M.before_proxy(conf, ctx)
    ngx.on_abort(function()
        dict:rpush("events", "aborted")
        ngx.exit(499)
    end)
    while true do
        plugin.lua_response_filter(ctx, {}, "tick", false, true)
        ngx.sleep(0.01)
    end
end

function _M.log(conf, ctx)
    dict:rpush("events", "logged")
end

return _M
"""
EVENTS = """
local _M = { version = 0.1, priority = 0, name = "events", schema = { type = "object" } }
-- Waits for the next event, so that the test need not.
function _M.access()
    for _ = 1, 500 do
        local event = ngx.shared.tests:lpop("events")
        if event then
            return 200, event
        end
        ngx.sleep(0.01)
    end
    return 504
end
return _M
"""


@pytest.fixture(scope="module")
def gateway(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with start(
        tmp_path_factory.mktemp("bundle"),
        engine=engine,
        plugins={"endless": STREAM, "events": EVENTS},
        server_snippet="lua_check_client_abort on;",
        routes=[
            {"id": "endless", "uri": "/endless", "plugins": {"endless": {}}},
            {"id": "events", "uri": "/events", "plugins": {"events": {}}},
        ],
    ) as started:
        yield started


def test_a_client_that_goes_away_aborts_the_request_and_the_log_phase_still_runs(gateway: Gateway) -> None:
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = b""
        while b"tick" not in seen:
            piece = client.recv(65536)
            assert piece, seen
            seen += piece
    events = [httpx.get(f"{gateway.url}/events", timeout=10).text for _ in range(2)]
    assert events == ["aborted", "logged"]
