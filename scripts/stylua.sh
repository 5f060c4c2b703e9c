#!/usr/bin/env bash
# Runs StyLua. If it is not in .cache/ yet, installs it there from the npm registry.
#
# Usage: scripts/stylua.sh ARGUMENT…   Exit status 77: StyLua is not installed, and npm is not there or cannot get it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Formatting differs between versions, so all use this one.
readonly version=2.5.2
readonly home=.cache/stylua-$version

if [ ! -x "$home/node_modules/.bin/stylua" ]; then
    command -v npm >/dev/null || exit 77
    npm install --prefix "$home" --no-save --no-audit --no-fund --silent --fetch-timeout=30000 --fetch-retries=1 \
        "@johnnymorganz/stylua-bin@$version" >&2 || exit 77
fi
exec "$home/node_modules/.bin/stylua" "$@"
