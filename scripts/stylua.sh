#!/usr/bin/env bash
# Runs StyLua, from the npm registry into .cache/ when it is not there yet.
#
# Usage: scripts/stylua.sh ARGUMENT…   Exit status 77: it is not here and there is no npm to get it with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Formatting differs between versions, so everybody uses this one.
readonly version=2.5.2
readonly home=.cache/stylua-$version

if [ ! -x "$home/node_modules/.bin/stylua" ]; then
    command -v npm >/dev/null || exit 77
    npm install --prefix "$home" --no-save --no-audit --no-fund --silent "@johnnymorganz/stylua-bin@$version" >&2
fi
exec "$home/node_modules/.bin/stylua" "$@"
