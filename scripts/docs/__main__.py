"""`python -m scripts.docs`: builds the documentation into `build/site` and checks it."""

from __future__ import annotations

import sys

from scripts.docs.build import SITE, BuildError, build
from scripts.docs.check import problems_of


def main() -> int:
    """The exit status: 0 when the site is built and whole."""
    try:
        build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    problems = problems_of(SITE)
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    if problems:
        return 1
    print(f"The documentation is in {SITE}/index.html")
    print(f"Its search needs a server: python3 -m http.server --directory {SITE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
