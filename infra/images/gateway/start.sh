#!/bin/sh
# Puts the rendered files where APISIX looks for them and starts it. APISIX watches apisix.yaml: through the link it sees
# a file that was replaced.
set -eu

rendered=/etc/azure-openai-gateway
conf=/usr/local/apisix/conf

for file in config.yaml apisix.yaml; do
    if [ ! -r "$rendered/$file" ]; then
        echo "$rendered/$file is missing or cannot be read: the config renderer has to run first" >&2
        exit 1
    fi
done
cp "$rendered/config.yaml" "$conf/config.yaml"
ln -sf "$rendered/apisix.yaml" "$conf/apisix.yaml"

# Container Apps stops a replica with SIGTERM, whatever the image asks for. nginx takes that as "stop at once"; what is
# wanted is SIGQUIT, which lets streams end within the grace period.
/docker-entrypoint.sh docker-start &
pid=$!
trap 'kill -QUIT "$pid" 2>/dev/null || true' TERM QUIT INT
while :; do
    status=0
    wait "$pid" || status=$?
    kill -0 "$pid" 2>/dev/null || exit "$status"
done
