#!/bin/bash
# `remove` stops the service and keeps the settings; `purge` removes everything.
. "$(dirname "$0")/lib.sh"
systemctl enable --quiet --now retortd-echo.socket
load request 8083 hello >/dev/null
begin_load stays 8083 2 # a client that is served keeps nothing from ending
left() { find / -xdev \( -path /proc -o -path /sys -o -path /run/system-test -o -path /root \) -prune -o -iname '*retort*' -print; }
units() { systemctl list-units --all --no-legend --plain 'retortd*' | grep -v 'not-found' || true; }

dpkg --remove retortd >/dev/null
exec {load_fd}>&-
wait "$load_pid" || true
expect "nothing listens" eval '! ss --no-header --tcp --listening --numeric | grep -qE ":(8083|7) "'
equal "no unit is left" "" "$(units)"
expect "the settings are kept" test -f "$settings"
expect "no process is left" eval '! pgrep -x retortd'

dpkg --purge retortd >/dev/null
equal "no file is left" "" "$(left | grep -v '^/var/log/journal\|^/tmp/\|^/var/tmp/systemd-private' || true)"
equal "no state of units is left" "" "$(find /etc/systemd /var/lib/systemd /run/systemd/system -name '*retort*')"
expect "no dynamic user is left" soon 5 eval '! getent passwd retortd'
