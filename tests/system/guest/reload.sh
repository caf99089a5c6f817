#!/bin/bash
# `systemctl reload` changes log level and limits without a new process; invalid settings change nothing.
. "$(dirname "$0")/lib.sh"
equal "a long message is served" "A LONGER MESSAGE" "$(load request 8083 'a longer message')"
pid=$(pid) start=$(now)
cp "$settings" /root/settings

printf 'RETORTD_VERBOSE=2\nRETORTD_MAX_MESSAGE=10\n' >>"$settings"
expect "reload succeeds" systemctl reload retortd.service
refused() { [ "$(load request 8083 'a longer message')" = error ]; }
expect "the new limit holds" soon 5 refused
equal "a message within the limit is served" SHORT "$(load request 8083 short)"
expect "the new log level holds" soon 5 says "$start" uppercase

start=$(now)
echo RETORTD_MAX_MESSAGE=nonsense >>"$settings"
systemctl reload retortd.service || true
expect "wrong settings are named in the log" soon 5 says "$start" 'RETORTD_MAX_MESSAGE'
equal "the service still runs" active "$(systemctl is-active retortd.service)"
equal "with the old limit" error "$(load request 8083 'a longer message')"

cp /root/settings "$settings"
systemctl reload retortd.service
longer() { [ "$(load request 8083 'a longer message')" = "A LONGER MESSAGE" ]; }
expect "the first settings are back" soon 5 longer
equal "all in one process" "$pid" "$(pid)"
