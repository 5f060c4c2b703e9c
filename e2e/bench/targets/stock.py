"""APISIX as it is delivered: `ai-proxy-multi` with keys, a record of each request and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.bench.backend import Backends
from e2e.bench.pools import SERVING, Pool
from e2e.bench.targets.base import Running, Site, Target
from e2e.bench.targets.gateway import client_key
from e2e.bench.targets.plain import PATH
from e2e.bench.workload import DEPLOYMENTS
from scripts.engines import start_files
from scripts.engines.apisix import ApisixEngine
from scripts.engines.files import dump_config

_KEY_HEADER = "api-key"
_PREFERRED = 10
# What a record of this gateway holds as well, as far as stock APISIX knows it.
_RECORD = {
    "time": "$time_iso8601",
    "client": "$consumer_name",
    "request_id": "$apisix_request_id",
    "method": "$request_method",
    "uri": "$uri",
    "status": "$status",
    "model": "$request_llm_model",
    "served": "$llm_model",
    "first_token": "$llm_time_to_first_token",
    "prompt_tokens": "$llm_prompt_tokens",
    "completion_tokens": "$llm_completion_tokens",
    "backend": "$upstream_addr",
    "seconds": "$request_time",
}
_PLUGINS = ["request-id", "key-auth", "ai-proxy-multi", "prometheus", "file-logger"]


class Stock(Target):
    """`ai-proxy-multi` on the APISIX that is installed here."""

    name, title = "stock", "stock ai-proxy-multi"

    def missing(self) -> str | None:
        """What the engine lacks."""
        return ApisixEngine().missing()

    def offers(self, pool: Pool) -> bool:
        """Backends and clients; it has no limits or traces that compare."""
        return not pool.extra and pool.name != "trials"

    @contextmanager
    def running(self, pool: Pool, site: Site) -> Iterator[Running]:
        """An APISIX of one worker."""
        site.directory.mkdir(parents=True, exist_ok=True)
        files = {"apisix.yaml": _routes(pool, site), "config.yaml": dump_config(_CONFIG)}
        with start_files(files, engine=ApisixEngine(), timeout=60) as gateway:
            keys = tuple(client_key(number) for number in range(pool.clients))
            others = {"key_header": _KEY_HEADER, "keys": keys} if pool.clients > 1 else {}
            url = f"{gateway.url}{PATH}"
            yield Running(url, gateway.pid, {_KEY_HEADER: keys[0]}, **others)  # type: ignore[arg-type]


_CONFIG: dict[str, Any] = {
    "apisix": {"enable_admin": False},
    "deployment": {"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}},
    "plugins": _PLUGINS,
    "plugin_attr": {
        "prometheus": {"export_uri": "/metrics", "enable_export_server": True},
        # The default is a module that only the official image has.
        "ai-proxy": {"http_client": "lua-resty-http"},
    },
}


def _routes(pool: Pool, site: Site) -> str:
    consumers = [
        {"username": f"client_{number}", "plugins": {"key-auth": {"key": client_key(number)}}}
        for number in range(pool.clients)
    ]
    routes = [_route(deployment, pool, site) for deployment in DEPLOYMENTS]
    return f"{dump_config({'routes': routes, 'consumers': consumers})}#END\n"


def _route(deployment: str, pool: Pool, site: Site) -> dict[str, Any]:
    path = PATH.replace("{deployment}", deployment)
    return {
        "id": deployment,
        "uri": path,
        "plugins": {
            "request-id": {},
            "key-auth": {"header": _KEY_HEADER, "hide_credentials": True},
            "prometheus": {},
            "file-logger": {"path": str(site.directory / "records.log"), "log_format": _RECORD},
            "ai-proxy-multi": {
                "fallback_strategy": ["http_429", "http_5xx"],
                "max_retries": len(pool.backends) - 1,
                "keepalive_pool": 128,
                "logging": {"summaries": True},
                "ssl_verify": False,
                "instances": _instances(path, pool, site.backends),
            },
        },
    }


def _instances(path: str, pool: Pool, backends: Backends) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{kind}-{number}",
            "provider": "openai-compatible",
            "weight": 1,
            "priority": 0 if kind == SERVING else _PREFERRED,
            "auth": {"header": {"api-key": f"key-of-{kind}-{number}"}},
            "override": {"endpoint": f"{backends.url(kind, number)}{path}"},
        }
        for kind, number in pool.members
    ]
