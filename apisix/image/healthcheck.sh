#!/usr/bin/env bash
# Succeeds when the gateway has loaded a whole, valid configuration. The image has no HTTP client, but bash is one.
#
#   GATEWAY_STATUS_PORT   port of the status listener (default 7085)
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${GATEWAY_STATUS_PORT:-7085}"
printf 'GET /status/ready HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
IFS=' ' read -r -t 2 _ status _ <&3
[ "$status" = 200 ]
