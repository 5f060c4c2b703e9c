"""A private nginx for backends and for the plain proxy."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.bench.processes import running_server
from scripts.engines.embedded import find_nginx
from scripts.engines.nginx_conf import MODULES, module_path

_HEAD = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid nginx.pid;
error_log stderr crit;
{modules}
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type application/json;
"""


def _modules() -> str:
    return "\n".join(f"load_module {module_path(name)};" for name in MODULES)


def _user() -> str:
    """Workers of the same user as this process: they read the files that it has written."""
    if os.getuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getgid()).gr_name};"


@contextmanager
def running_nginx(directory: Path, http: str, port: int, *, lua: bool = False) -> Iterator[int]:
    """An nginx with this content of its `http` block, once it listens on `port`; gives its process id."""
    directory.mkdir(parents=True, exist_ok=True)
    head = _HEAD.format(modules=_modules() if lua else "", user=_user())
    (directory / "nginx.conf").write_text(f"{head}{http}\n}}\n")
    command = [find_nginx() or "nginx", "-p", f"{directory}/", "-c", "nginx.conf", "-e", "stderr"]
    with running_server(command, directory, port) as pid:
        yield pid
