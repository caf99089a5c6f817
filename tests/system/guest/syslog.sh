#!/bin/bash
# --log syslog reaches rsyslog by /dev/log, also after restarts of rsyslog and journald.
. "$(dirname "$0")/lib.sh"
log=/var/log/syslog
printf 'RETORTD_LOG=syslog\nRETORTD_VERBOSE=2\n' >>"$settings"
equal "the service replies" HELLO "$(load request 8083 hello)"
pid=$(pid)
# One line for each request, which is identified by its length.
arrives() { soon 10 grep -qE "retortd\[$pid\]: .*uppercase.*\b$1\b" $log; }

expect "a request is in rsyslog's file" arrives 5
systemctl restart rsyslog.service
load request 8083 hello-again >/dev/null
expect "also after a restart of rsyslog" arrives 11
systemctl restart systemd-journald.service
load request 8083 hello-hello-again >/dev/null
expect "also after a restart of journald, which owns /dev/log" arrives 17
# Lines that cannot be sent to /dev/log go to standard error, and from there to the same file: distinguish the two.
by_syslog=$(journalctl --quiet --output=cat _TRANSPORT=syslog "_PID=$pid" | grep -c uppercase || true)
equal "all of it came through /dev/log" 3 "$by_syslog"
equal "it is the same process" "$pid" "$(pid)"
