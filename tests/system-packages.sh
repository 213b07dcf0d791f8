#!/usr/bin/env bash
# Debian packages that tests use and pip cannot give. Installs what is missing when it may (as root, with apt);
# otherwise says in one line what stays untested, and goes on.
set -uo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing+=(redis-server)
command -v promtool >/dev/null || missing+=(prometheus)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, tests that need them will skip: ${missing[*]} (install them as root with apt-get)" >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if apt-get update >"$log" 2>&1 && apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    echo "installed: ${missing[*]}"
else
    echo "not installed, tests that need them will skip: ${missing[*]} (apt-get failed, see $log)" >&2
fi
