#!/bin/bash
# `systemctl reload` changes log level and limits without a new process. With invalid settings it fails and changes
# nothing. The file may be missing.
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
expect "with wrong settings reload fails" eval '! systemctl reload retortd.service'
expect "the log says what is wrong" soon 5 says "$start" 'RETORTD_MAX_MESSAGE.*nonsense'
equal "the daemon was not notified" "" "$(logged "$start" | grep 'cannot reload' || true)"
equal "the service still runs" active "$(systemctl is-active retortd.service)"
equal "with the old limit" error "$(load request 8083 'a longer message')"

cp /root/settings "$settings"
expect "with right settings reload succeeds" systemctl reload retortd.service
longer() { [ "$(load request 8083 'a longer message')" = "A LONGER MESSAGE" ]; }
expect "the first settings are back" soon 5 longer

start=$(now)
rm "$settings"
expect "without the file reload succeeds" systemctl reload retortd.service
equal "the service replies" HELLO "$(load request 8083 hello)"
equal "all in one process" "$pid" "$(pid)"
expect "without the file the service starts" systemctl restart retortd.service
equal "it replies" HELLO "$(load request 8083 hello)"
systemctl disable --quiet --now retortd.socket
systemctl stop retortd.service
systemctl start retortd-inetd.socket
equal "so does a process for one connection" HELLO "$(load request 8083 hello)"
equal "the sandbox let each check read the file" "" "$(logged "$start" | grep -iE 'not permitted|denied|cannot' || true)"
