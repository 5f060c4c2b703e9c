"""An engine that runs Lua of the benchmark's own beside the gateway's, and lets us call it."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from pathlib import Path

from scripts.engines.base import Engine, Instance, Launch
from scripts.engines.ports import free_ports

_FIRST = "init_by_lua_block {"
_LOCATION = "location = /{name} {{ content_by_lua_block {{ ngx.print(added.{name}() or '') }} }}"
_SERVER = """\
server {{
        listen 127.0.0.1:{port};
        access_log off;
        {locations}
    }}

    {first}
        added = dofile("{file}")
        {more}
"""


class AddedLua:
    """An engine that loads a file of Lua before everything else, in its workers.

    `functions` are those of the file's module that `ask` can call; `more` is Lua that runs after the file.
    """

    def __init__(self, engine: Engine, file: Path, functions: Sequence[str], more: str = "") -> None:
        self._engine = engine
        (self._port,) = free_ports(1)
        self._text = _SERVER.format(
            port=self._port,
            locations="\n        ".join(_LOCATION.format(name=name) for name in functions),
            first=_FIRST,
            file=file,
            more=more,
        )
        self.name = engine.name
        self.bundle_root = engine.bundle_root
        self.settle_seconds = engine.settle_seconds

    def missing(self) -> str | None:
        """As the engine itself."""
        return self._engine.missing()

    def prepare(self, instance: Instance) -> Launch:
        """Adds the Lua, and where to ask for it, to nginx.conf."""
        launch = self._engine.prepare(instance)
        conf = instance.directory / ("nginx.conf" if self.name == "embedded" else "conf/nginx.conf")
        before, after = conf.read_text().split(_FIRST, 1)
        conf.write_text(before + self._text + after)
        return launch

    def ask(self, function: str) -> str:
        """What a function returns, in the worker that answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", f"/{function}")
        answer = connection.getresponse().read().decode()
        connection.close()
        return answer
