#!/bin/bash
# The socket listens before the service has run; the first connection starts the service, which serves it.
. "$(dirname "$0")/lib.sh"

equal "the socket is enabled" enabled "$(systemctl is-enabled retortd.socket)"
equal "the socket listens" active "$(systemctl is-active retortd.socket)"
equal "the service has never run" 0 "$(property retortd.service ActiveEnterTimestampMonotonic)"
expect "one socket serves IPv6 and IPv4" grep -q '\*:8083' <(ss --no-header --tcp --listening 'sport = :8083')
for unit in $(systemctl list-unit-files --no-legend 'retortd-*.socket' | cut -d' ' -f1); do
  equal "$unit is not enabled" disabled "$(systemctl is-enabled "$unit" || true)"
done

begun=${EPOCHREALTIME/./}
equal "the first connection gets its reply" "HELLO" "$(load request 8083 hello)"
echo "note: first reply $(((${EPOCHREALTIME/./} - begun) / 1000)) ms after the start of the client"
equal "the service runs" active "$(systemctl is-active retortd.service)"
equal "over IPv6 too" "HELLO" "$(load request 8083 hello ::1)"
status() { systemctl status retortd.service | grep -E 'Status: "listening on frame=\[::\]:8083; [0-9]+ connections?, 2 requests"'; }
expect "systemctl status has the status line with its figures" soon 5 status
