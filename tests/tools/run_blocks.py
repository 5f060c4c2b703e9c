"""Runs blocks of Python as one program and tells what each of them wrote; for the interpreter of a tool.

Standard input: the blocks as a JSON list. Standard output: for each block, a JSON list of what it wrote,
piece by piece. A block that fails ends the program with its traceback. Blocks may await outside of functions,
as in notebooks; they share one event loop.
"""

import ast
import asyncio
import inspect
import json
import os
import sys


class Pieces:
    """A standard output that keeps what is written to it."""

    def __init__(self):
        self.written = []

    def write(self, text):
        """Keep a piece."""
        self.written.append(text)
        return len(text)

    def flush(self):
        """Nothing to do."""

    def isatty(self):
        """A file, as far as programs ask."""
        return False


def main():
    """Run the blocks of standard input."""
    # Whatever a library itself prints must not break the JSON.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    names = {"__name__": "__main__"}
    loop = asyncio.new_event_loop()
    for number, block in enumerate(json.load(sys.stdin), start=1):
        sys.stdout = Pieces()
        code = compile(block, f"block {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        made = eval(code, names)
        if inspect.iscoroutine(made):
            loop.run_until_complete(made)
        print(json.dumps(sys.stdout.written), file=out, flush=True)


main()
