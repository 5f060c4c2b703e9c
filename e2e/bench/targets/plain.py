"""Without a gateway, and behind an nginx that only passes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.bench.backend import Backends
from e2e.bench.nginx import running_nginx
from e2e.bench.pools import ALL_THROTTLED, FAILOVER, MANY, ONE, SERVING, THROTTLED, TWO, Pool
from e2e.bench.targets.base import Running, Site, Target
from e2e.bench.workload import REST_SECONDS
from scripts.engines.ports import free_ports

PATH = "/openai/deployments/{deployment}/chat/completions"

_PROXY = """
    upstream pool {{ {servers} keepalive 512; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://pool;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_next_upstream {next};
        }}
    }}
"""


class Direct(Target):
    """The client asks the backend itself."""

    name, title = "direct", "direct"

    def missing(self) -> None:
        """Always at hand."""

    def offers(self, pool: Pool) -> bool:
        """One backend is enough to compare with."""
        return pool == ONE

    @contextmanager
    def running(self, pool: Pool, site: Site) -> Iterator[Running]:  # noqa: ARG002
        """Nothing to start."""
        yield Running(site.backends.url(SERVING) + PATH)


class PlainNginx(Target):
    """nginx with `proxy_pass`: no keys, no records, no metrics."""

    name, title = "nginx", "nginx"

    def missing(self) -> None:
        """The backends need nginx, so it is there."""

    def offers(self, pool: Pool) -> bool:
        """What an upstream of nginx can express."""
        return pool in (ONE, TWO, MANY, FAILOVER, ALL_THROTTLED)

    @contextmanager
    def running(self, pool: Pool, site: Site) -> Iterator[Running]:
        """A second nginx."""
        (port,) = free_ports(1)
        # A plain proxy passes the refusal on when nobody else is left.
        on = "off" if pool == ALL_THROTTLED else "error timeout http_429 non_idempotent"
        http = _PROXY.format(servers=_servers(pool, site.backends), port=port, next=on)
        with running_nginx(site.directory, http, port) as pid:
            yield Running(f"http://127.0.0.1:{port}{PATH}", pid)


def _servers(pool: Pool, backends: Backends) -> str:
    lines = []
    for kind, number in pool.members:
        address = backends.url(kind, number).removeprefix("http://")
        # It rests after a 429, as behind a gateway.
        options = f"max_fails=1 fail_timeout={REST_SECONDS}s" if pool == FAILOVER else "max_fails=0"
        backup = " backup" if THROTTLED in pool.backends and kind == SERVING else ""
        lines.append(f"server {address} {options}{backup};")
    return " ".join(lines)
