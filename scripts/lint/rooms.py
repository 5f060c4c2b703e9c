"""Checks that the modules of the Lua bundle require one another in one direction only.

The bundle's folder `azure-openai/` has a room for each part of a request's way. A module may require its own
room and every room before it in `ORDER`. So no reader needs a later room to understand an earlier one.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ORDER = (
    "base",
    "state",
    "request",
    "routing",
    "attempt",
    "outcome",
    "answer",
    "account",
    "one_backend",
    "exchange",
    "serve",
    "plugins",
    "hook",
)
"""The places of the bundle, the lowest first: folders and files of `azure-openai/`, by name without `.lua`.

`plugins` stands for all files outside that folder: the plugins themselves and the drivers in `ai-providers/`.
"""

BUNDLE = Path("apisix/plugins")
_FOLDER = "azure-openai"
_COMMENT = re.compile(r"--.*")
_REQUIRE = re.compile(r"""\brequire[\s,(]*["']([^"']+)["']""")


def place_of(file: Path) -> str:
    """The place of a file, given by its path below `apisix/plugins`; not always one of `ORDER`.

    >>> place_of(Path("azure-openai/routing/pool.lua"))
    'routing'
    >>> place_of(Path("azure-openai/exchange.lua"))
    'exchange'
    >>> place_of(Path("azure-openai-auth.lua"))
    'plugins'
    """
    return Path(file.parts[1]).stem if file.parts[0] == _FOLDER else "plugins"


def requires_of(source: str) -> Iterator[tuple[int, str]]:
    """The modules that a Lua source requires by a literal name, each with its line.

    >>> list(requires_of('local core = require("apisix.core")  -- not require("other")'))
    [(1, 'apisix.core')]
    """
    code = _COMMENT.sub("", source)
    for match in _REQUIRE.finditer(code):
        yield code.count("\n", 0, match.start()) + 1, match[1]


def problems_of(root: Path) -> list[str]:
    """What is wrong with the bundle in the repository at `root`, one line for each problem.

    >>> problems_of(Path("/a/repository"))  # doctest: +SKIP
    ['apisix/plugins/azure-openai/request/body.lua:3: requires apisix.plugins.azure-openai.routing.pool: \
request may require only base, state, request']
    """
    bundle = root / BUNDLE
    files = sorted(file.relative_to(bundle) for file in bundle.rglob("*.lua"))
    return [problem for file in files for problem in _problems_in(bundle, file)]


def _problems_in(bundle: Path, file: Path) -> Iterator[str]:
    place = place_of(file)
    if place not in ORDER:
        yield f"{BUNDLE / file}: is in no room: move it into one, or add its place to ORDER"
        return
    allowed = ORDER[: ORDER.index(place) + 1]
    for line, module in requires_of((bundle / file).read_text()):
        required = _file_of(module)
        if required is None:
            continue
        where = f"{BUNDLE / file}:{line}: requires {module}"
        if (bundle / required).is_file():
            if place_of(required) not in allowed:
                yield f"{where}: {place} may require only {', '.join(allowed)}"
        elif required.parts[0] == _FOLDER:
            yield f"{where}: there is no {BUNDLE / required}"


def _file_of(module: str) -> Path | None:
    """The file of a module that may be one of the bundle's, below `apisix/plugins`."""
    package, _, rest = module.partition("apisix.plugins.")
    return Path(*rest.split(".")).with_suffix(".lua") if rest and not package else None


def main() -> int:
    """Prints the problems of the repository in the working directory; exit status 1 when there are any."""
    problems = problems_of(Path())
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
