#!/usr/bin/env bash
# Installs what this project needs and this machine lacks: system packages with apt, uv from PyPI into .cache/bin
# when it is not on PATH, and the Python environment in .venv. Prints nothing when nothing is missing.
#
# Usage: [ENGINE=embedded|apisix|docker|auto] scripts/setup.sh [run|test]
#   run   for the gateway, the simulator and the demo
#   test  also for the tests and the static checks (default)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly purpose=${1:-test} engine=${ENGINE:-embedded}
readonly log=.cache/setup.log local_uv=.cache/bin/uv

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

works() { "$@" >/dev/null 2>&1; }

can_bootstrap_uv() { works python3 -c 'import ensurepip, venv'; }

find_uv() {
    local candidate
    for candidate in uv "$local_uv"; do
        if works "$candidate" --version; then
            echo "$candidate"
            return
        fi
    done
}

# On a laptop the tests that need these may be skipped; continuous integration runs all that it can.
wanted_by_ci() {
    [ -n "${CI:-}" ] || return 0
    works java -version || echo openjdk-17-jre-headless
    works mvn -version || echo maven
    works npm --version || echo npm
    works chromium --version || echo chromium
    works zsh --version || echo zsh
    works fish --version || echo fish
}

wanted_packages() {
    echo make
    if ! works python3 --version || { [ -z "$uv" ] && ! can_bootstrap_uv; }; then
        echo ca-certificates python3 python3-venv
    fi
    case $engine in
    embedded | auto) cat scripts/engines/embedded-packages.txt ;;
    esac
    if [ "$purpose" = test ]; then
        echo lua-check redis-server shellcheck wrk
        wanted_by_ci
    fi
}

missing_packages() {
    local wanted installed
    wanted=$(wanted_packages)
    # shellcheck disable=SC2086 # one word is one package
    installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2>/dev/null || true)
    for package in $wanted; do
        case $'\n'$installed$'\n' in
        *$'\n'"$package installed"$'\n'*) ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

logged() {
    mkdir -p .cache
    if ! "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail "this failed: $* (the whole output is in $log)"
    fi
}

# Runs a command, and says what it does when that takes longer than two seconds.
patiently() {
    local what=$1 teller status=0
    shift
    # There is nothing to read, so this waits.
    { read -rt 2 <> <(:) || say "$what"; } &
    teller=$!
    "$@" || status=$?
    kill "$teller" 2>/dev/null || true
    wait "$teller" 2>/dev/null || true
    return "$status"
}

may_sudo() {
    # Without a terminal, sudo must not ask for a password.
    command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }
}

install_packages() {
    local packages=$1 sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo=sudo
        may_sudo || fail "system packages are missing, and only root can install them (sudo does not work here).
  Run this as root, then try again:
  apt-get update && apt-get install -y --no-install-recommends ${packages% }"
    fi
    say "installing with apt-get: ${packages% }"
    # shellcheck disable=SC2086 # one word is one package, and without sudo there is no word
    logged $sudo sh scripts/apt-install.sh $packages
}

ensure_packages() {
    # On other systems the engine itself reports which programs are missing.
    works dpkg-query --version || return 0
    local missing
    missing=$(missing_packages)
    [ -z "$missing" ] || install_packages "$missing"
}

ensure_uv() {
    [ -z "$uv" ] || return 0
    can_bootstrap_uv || fail "uv is not installed, and python3 has no venv module to install it with: install uv"
    say "installing uv from PyPI into .cache"
    logged python3 -m venv --clear .cache/uv
    logged .cache/uv/bin/pip install --disable-pip-version-check 'uv>=0.8'
    mkdir -p .cache/bin
    ln -sf ../uv/bin/uv "$local_uv"
    uv=$local_uv
}

ensure_environment() {
    # Use the project's own environment, even if the caller has activated another one.
    unset VIRTUAL_ENV
    export UV_PROJECT_ENVIRONMENT=.venv
    patiently "installing the Python packages of uv.lock into .venv" "$uv" sync --quiet --locked </dev/null
}

case $purpose in
run | test) ;;
*) fail "there is no set-up for '$purpose': use run or test" ;;
esac
uv=$(find_uv)
ensure_packages
ensure_uv
ensure_environment
