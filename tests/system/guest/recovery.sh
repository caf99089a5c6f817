#!/bin/bash
# kill -9, and a suspended process: systemd restarts the service, and clients wait meanwhile.
. "$(dirname "$0")/lib.sh"
load request 8083 hello >/dev/null
pid=$(pid)
another() { [ "$(pid)" != "$pid" ] && is retortd.service ActiveState active; }

kill -KILL "$pid"
equal "after kill -9 the next client gets its reply" HELLO "$(load request 8083 hello)"
expect "by a new process" another
equal "the socket listens" active "$(systemctl is-active retortd.socket)"

equal "the watchdog has a timeout of 30 s" 30s "$(property retortd.service WatchdogUSec)"
# For the service manager the process runs; only the watchdog notices.
drop_in retortd.service Service WatchdogSec=2s
systemctl restart retortd.service
load request 8083 hello >/dev/null
pid=$(pid) start=$(now)
kill -STOP "$pid"
equal "after SIGSTOP the next client gets its reply" HELLO "$(load request 8083 hello)"
expect "by a new process" another
expect "because of the watchdog" grep -qi 'watchdog timeout' <(logged "$start")

# An idle daemon notifies the watchdog, too.
pid=$(pid)
sleep 5
equal "without clients the watchdog leaves it alone" "$pid" "$(pid)"
