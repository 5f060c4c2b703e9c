#!/usr/bin/env bash
# Passes on nginx's error log without queries, which may hold keys. nginx ends each line about a request with
#
#   …, client: 1.2.3.4, server: _, request: "GET /a?api-key=K HTTP/1.1", upstream: "…", host: "…", referrer: "…"
#
# and nothing can turn that off. Of all this, method and path stay: …, request: "GET /a". The quotation mark may be
# missing, since nginx cuts long lines. nginx writes each line in one piece, shorter than a pipe takes at once.
set -euo pipefail

# It ends after the last line, not by a signal: a stopping gateway still logs.
trap '' TERM INT QUIT
# Bytes, because in other locales no pattern matches what is not UTF-8.
LC_ALL=C exec sed -u -E 's/(, request: "[^"?]*).*/\1"/'
