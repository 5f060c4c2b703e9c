"""The one package of an installed wheel. In a clone it holds nothing but the entry points of the commands.

In a wheel, the parts of the repository that the commands need are below it, with the same layout:
`renderer/`, `scripts/`, `e2e/`, `apisix/`, `infra/` and so on. Their names are too general for a user's
environment, which may have other packages of these names. So the entry points put `ROOT` at the beginning of
`sys.path`, and `import renderer` means the same in both places.

    commands   the entry points of the console scripts
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent

INSTALLED = (_HERE / "renderer").is_dir()
"""Whether this is an installed wheel and not a clone."""

ROOT = _HERE if INSTALLED else _HERE.parent
"""The directory that holds `renderer/`, `apisix/` and all the others."""
