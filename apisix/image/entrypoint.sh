#!/usr/bin/env bash
# Starts the gateway from rendered files. When it cannot start, prints all reasons and ends with status 2.
#
#   GATEWAY_CONFIG_DIR   directory with apisix.yaml and config.yaml (default /etc/azure-openai-gateway)
#   APISIX_HOME          where APISIX is installed (default /usr/local/apisix)
#   TMPDIR               the only directory that has to be writable (default /tmp)
set -uo pipefail

config_dir=${GATEWAY_CONFIG_DIR:-/etc/azure-openai-gateway}
home=${APISIX_HOME:-/usr/local/apisix}
# The files that APISIX writes for nginx, and nginx's sockets and temporary files.
run_dir=${TMPDIR:-/tmp}/apisix
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly config_dir home run_dir here
readonly REFUSED=2

problems=()

refuse_if_problems() {
    [ ${#problems[@]} -gt 0 ] || return 0
    echo "The gateway does not start:" >&2
    printf '  %s\n' "${problems[@]}" >&2
    exit "$REFUSED"
}

check_file() {
    local file=$config_dir/$1
    if [ ! -e "$file" ]; then
        problems+=("$file is missing: let the config renderer write to this directory before the gateway starts")
    elif [ ! -r "$file" ]; then
        problems+=("$file is not readable for uid $(id -u), gid $(id -g): run the gateway with group 0")
    elif [ ! -s "$file" ]; then
        problems+=("$file is empty: render it again")
    fi
}

# Checks what the parsers of APISIX do not: that the files belong together and are whole.
check_content() {
    local openresty luajit report line
    openresty=$(readlink -f "$(command -v openresty)")
    luajit=$(dirname "$openresty")/../../luajit/bin/luajit
    report=$("$luajit" "$here/check_config.lua" "$home" "$config_dir" 2>&1) && return
    while IFS= read -r line; do
        problems+=("$line")
    done <<<"$report"
}

# Runs a command and shows its output only when it fails.
check_with() {
    local what=$1 output line
    shift
    output=$("$@" 2>&1) && return
    while IFS= read -r line; do
        [ -z "$line" ] || problems+=("$what: $line")
    done <<<"$output"
}

# APISIX and nginx write into their home directory. This one is new at every start, so that the file system of the
# image can be read-only, and no socket is left over from a container that was killed.
# shellcheck disable=SC2317  # called through check_with
make_run_dir() {
    rm -rf "$run_dir" &&
        mkdir -p "$run_dir/conf" "$run_dir/logs" &&
        ln -s "$home/apisix" "$home/deps" "$run_dir/" &&
        ln -s "$home/conf/mime.types" "$home/conf/debug.yaml" "$run_dir/conf/" &&
        ln -s /dev/stdout "$run_dir/logs/access.log" &&
        ln -s /dev/stderr "$run_dir/logs/error.log" &&
        # APISIX reads config.yaml only at the start, and looks at apisix.yaml every second.
        cp "$config_dir/config.yaml" "$run_dir/conf/" &&
        ln -s "$config_dir/apisix.yaml" "$run_dir/conf/"
}

# A container that is stopped gets SIGTERM or, as the base image asks, SIGQUIT. On SIGTERM nginx drops every request;
# on SIGQUIT it finishes those in flight.
serve() {
    local server filter status errors=$run_dir/logs/errors
    mkfifo -m 600 "$errors"
    openresty -p "$run_dir/" -c conf/nginx.conf -g 'daemon off;' 2>"$errors" &
    server=$!
    # The gateway stops when the filter ends, because nobody could see its errors any more.
    (
        trap '' TERM INT QUIT
        bash "$here/filter_error_log.sh" <"$errors" >&2
        status=$?
        kill -QUIT "$server" 2>/dev/null
        exit "$status"
    ) &
    filter=$!
    trap 'kill -QUIT "$server" 2>/dev/null' TERM INT QUIT
    wait "$server"
    status=$?
    # A trapped signal ends `wait` early, with a status above 128.
    while kill -0 "$server" 2>/dev/null; do
        wait "$server"
        status=$?
    done
    # After its last line.
    wait "$filter" || status=$?
    exit "$status"
}

# A signal that it does not handle does not end the first process of a container.
trap 'exit 143' TERM INT QUIT

check_file config.yaml
check_file apisix.yaml
refuse_if_problems
check_content
refuse_if_problems
check_with "making $run_dir" make_run_dir
refuse_if_problems
cd "$run_dir" || exit "$REFUSED"
check_with "apisix init" apisix init
refuse_if_problems
check_with "nginx" openresty -p "$run_dir/" -c conf/nginx.conf -t -q
refuse_if_problems
serve
