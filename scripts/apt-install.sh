#!/bin/sh
# Installs Debian packages for use by this project. It neither starts nor enables their services, so that no nginx
# or Redis of the distribution takes a port, now or after the next boot.
#
# Usage (as root): scripts/apt-install.sh PACKAGE…
set -eu

policy=/usr/sbin/policy-rc.d # maintainer scripts ask it before they start a service

forbid_service_starts() {
    # If the machine has its own policy, that one stays as it is.
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
}

disable_services() {
    command -v systemctl >/dev/null || return 0
    for package in "$@"; do
        case $package in
        nginx | redis-server) systemctl disable --quiet "$package.service" || true ;;
        esac
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null
}

forbid_service_starts
apt update || echo "apt-get update reported errors; trying to install all the same"
apt install -y --no-install-recommends "$@"
disable_services "$@"
