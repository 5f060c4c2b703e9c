#!/usr/bin/env bash
# Runs the tests and says which lines of Python and of the Lua bundle they run: two texts in build/coverage, and their
# totals on the screen. Lua is counted on the embedded engine, without its compiler, so a run takes longer than usual.
#
# Usage: scripts/coverage/run.sh [pytest's arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly directory=$PWD/build/coverage
rm -rf "$directory"
mkdir -p "$directory/python" "$directory/lua"

# A test that fails has run its lines all the same; the exit status tells.
status=0
LUA_LINE_COUNTS=$directory/lua .venv/bin/coverage run -m pytest "$@" || status=$?

.venv/bin/coverage combine --quiet
.venv/bin/coverage report --show-missing >"$directory/python.txt"
.venv/bin/python -m scripts.coverage.lua "$directory/lua" >"$directory/lua.txt"
for language in python lua; do
    printf '%-7s %s (%s)\n' "$language" "$(grep '^TOTAL' "$directory/$language.txt")" "build/coverage/$language.txt"
done
exit "$status"
