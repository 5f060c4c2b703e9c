"""Which lines of the Lua bundle ran in the embedded engine: `python -m scripts.coverage.lua DIRECTORY`.

Workers write the lines into the directory that the variable LUA_LINE_COUNTS names. `make coverage` sets it.
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scripts.engines.base import REPOSITORY
from scripts.engines.embedded import find_nginx
from scripts.engines.nginx_conf import HOST, MODULES, module_path

PLUGINS = REPOSITORY / "apisix" / "plugins"
_CONF = """
{modules}
daemon off;
master_process off;
pid nginx.pid;
events {{}}
http {{
    lua_package_path "{lualib}/?.lua;;";
    access_log off;
    init_by_lua_block {{
        local counter, cjson = require("embedded.line_counter"), require("cjson")
        local found = {{}}
        for path in io.lines("{directory}/paths") do found[path] = counter.code(path) end
        local file = assert(io.open("{directory}/code.json", "w"))
        file:write(cjson.encode(found))
        file:close()
        os.exit(0) -- there is nothing to serve
    }}
}}
"""


def code_of(paths: Iterable[Path]) -> dict[Path, set[int]]:
    """The lines of Lua files that have code, as nginx's LuaJIT compiles them."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "paths").write_text("".join(f"{path}\n" for path in paths))
        modules = "\n".join(f"load_module {module_path(name)};" for name in MODULES)
        conf = _CONF.format(modules=modules, lualib=HOST / "lualib", directory=directory)
        (root / "nginx.conf").write_text(conf)
        command = [find_nginx() or "nginx", "-p", f"{root}/", "-c", "nginx.conf", "-e", "stderr"]
        subprocess.run(command, check=True)  # noqa: S603
        found = json.loads((root / "code.json").read_text())
    # An empty list is an object to Lua's encoder.
    return {Path(path): set(lines or []) for path, lines in found.items()}


def ran(directory: Path) -> dict[str, set[int]]:
    """The lines that ran in any worker, by the file's name below apisix/plugins."""
    found: dict[str, set[int]] = defaultdict(set)
    for path in directory.glob("*.json"):
        counts: Mapping[str, Any] = json.loads(path.read_text())
        for name, lines in counts.items():
            found[name].update(lines or [])
    return found


def ranges(lines: Iterable[int]) -> str:
    """Lines in words: 3-5, 9."""
    parts: list[list[int]] = []
    for line in sorted(lines):
        if parts and line == parts[-1][1] + 1:
            parts[-1][1] = line
        else:
            parts.append([line, line])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def report(directory: Path) -> list[str]:
    """A row for each file of the bundle: lines with code, how many did not run, what share did, which not."""
    paths = sorted(PLUGINS.rglob("*.lua"))
    seen, code = ran(directory), code_of(paths)
    rows, total, missed = [], 0, 0
    for path in paths:
        name = str(path.relative_to(PLUGINS))
        missing = code[path] - seen.get(name, set())
        total, missed = total + len(code[path]), missed + len(missing)
        share = 100 * (1 - len(missing) / max(len(code[path]), 1))
        rows.append(f"{name:<60} {len(code[path]):>5} {len(missing):>5} {share:>5.0f}%  {ranges(missing)}")
    head = f"{'':<60} {'lines':>5} {'miss':>5}"
    share = 100 * (1 - missed / max(total, 1))
    return [head, *(row.rstrip() for row in rows), f"{'TOTAL':<60} {total:>5} {missed:>5} {share:>5.1f}%"]


def main(arguments: list[str]) -> int:
    """Runs the command."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m scripts.coverage.lua DIRECTORY", file=sys.stderr)
        return 2
    print("\n".join(report(Path(arguments[0]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
