#!/bin/bash
# Checks that the unit files load without a warning, and the exposure level of the sandbox (systemd-analyze(1)).
# Exit status: 0 if all is well, or if systemd-analyze is missing (with a message); 1 otherwise.
set -euo pipefail
cd "$(dirname "$0")/../systemd"
services=(retortd.service retortd-inetd@.service)
exposure=5 # ten times the score that systemd-analyze prints

command -v systemd-analyze >/dev/null || exec ../tests/skip units.sh "systemd-analyze is not installed"

units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
cp ./*.socket ./*.service "$units"
# The daemon need not be installed here, nor its man pages.
sed -i "/^Exec/ s|/usr/sbin/retortd|$(command -v true)|" "$units"/*.service
cd "$units"

# `verify` exits with 0 after some warnings: any output is a failure.
complaints=$(systemd-analyze verify --man=no --recursive-errors=yes ./*.socket ./*.service 2>&1) || true
[ -z "$complaints" ] || { echo "units.sh: systemd-analyze verify: $complaints" >&2; exit 1; }

for service in "${services[@]}"; do
  systemd-analyze security --offline=true --threshold=$exposure --no-pager "./$service" >"$service.txt" ||
    { grep '✗' "$service.txt"; tail -n 1 "$service.txt"; exit 1; }
  tail -n 1 "$service.txt"
done
