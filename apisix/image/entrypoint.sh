#!/usr/bin/env bash
# Starts the gateway from rendered files, or says everything that keeps it from starting and ends with status 2.
#
#   GATEWAY_CONFIG_DIR   directory with apisix.yaml and config.yaml (default /etc/azure-openai-gateway)
#   APISIX_PREFIX        home of APISIX (default /usr/local/apisix)
set -uo pipefail

config_dir=${GATEWAY_CONFIG_DIR:-/etc/azure-openai-gateway}
prefix=${APISIX_PREFIX:-/usr/local/apisix}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly config_dir prefix here
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

# What the parsers of APISIX cannot tell: that the files belong together, and that they are whole.
check_content() {
    local openresty luajit report line
    openresty=$(readlink -f "$(command -v openresty)")
    luajit=$(dirname "$openresty")/../../luajit/bin/luajit
    report=$("$luajit" "$here/check_config.lua" "$prefix" "$config_dir" 2>&1) && return
    while IFS= read -r line; do
        problems+=("$line")
    done <<<"$report"
}

# Runs a command whose output matters only when it fails.
check_with() {
    local what=$1 output line
    shift
    output=$("$@" 2>&1) && return
    while IFS= read -r line; do
        [ -z "$line" ] || problems+=("$what: $line")
    done <<<"$output"
}

# A container that is stopped gets SIGTERM or, as the base image asks, SIGQUIT. To nginx SIGTERM means "drop
# everything", SIGQUIT "finish what you began".
serve() {
    local server status
    openresty -p "$prefix/" -c conf/nginx.conf -g 'daemon off;' &
    server=$!
    trap 'kill -QUIT "$server" 2>/dev/null' TERM INT QUIT
    wait "$server"
    status=$?
    # A trapped signal ends `wait` early, with a status above 128.
    while kill -0 "$server" 2>/dev/null; do
        wait "$server"
        status=$?
    done
    exit "$status"
}

# The first process of a container is not ended by signals that it does not handle.
trap 'exit 143' TERM INT QUIT
cd "$prefix" || exit "$REFUSED"

check_file config.yaml
check_file apisix.yaml
refuse_if_problems
check_content
refuse_if_problems
# config.yaml is read at the start only. apisix.yaml stays where it is rendered: APISIX looks at it every second.
check_with "copying to $prefix/conf" cp "$config_dir/config.yaml" "$prefix/conf/config.yaml"
check_with "linking in $prefix/conf" ln -sfn "$config_dir/apisix.yaml" "$prefix/conf/apisix.yaml"
refuse_if_problems
check_with "apisix init" apisix init
refuse_if_problems
check_with "nginx" openresty -p "$prefix/" -c conf/nginx.conf -t -q
refuse_if_problems

# Left behind when the container was killed; nginx cannot listen on them again.
rm -f "$prefix"/logs/*.sock
serve
