#!/bin/bash
# `systemctl stop` waits for a drain delay that is longer than TimeoutStopSec=, because the daemon extends that. The
# service accepts and serves meanwhile, and its status says for how long.
. "$(dirname "$0")/lib.sh"
drop_in retortd.service Service TimeoutStopSec=2s
printf 'RETORTD_VERBOSE=1\nRETORTD_DRAIN_DELAY=8s\n' >>"$settings"
equal "the service replies" HELLO "$(load request 8083 hello)"
pid=$(pid) start=$(now)

expect "it is stopped" systemctl stop --no-block retortd.service
counts_down() { property retortd.service StatusText | grep -q '^stopping: accepts connections for another [1-8]s; '; }
expect "its status counts down" soon 5 counts_down
equal "it is stopping" deactivating "$(property retortd.service ActiveState)"
equal "it replies to a new connection" HELLO "$(load request 8083 hello)"
over() { says "$start" 'stopping: the drain delay is over'; }
expect "the delay ends after more than TimeoutStopSec=" soon 20 over
expect "the service ends" soon 5 is retortd.service ActiveState inactive
equal "without a failure" success "$(property retortd.service Result)"
expect "after its statistics" says "$start" 'statistics: accepted'
equal "the manager killed nothing" "" "$(logged "$start" | grep -iE 'timed out|killing|killed' || true)"

equal "the next connection starts the next instance" HELLO "$(load request 8083 hello)"
expect "in another process" test "$(pid)" != "$pid"
