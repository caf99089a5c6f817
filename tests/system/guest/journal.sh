#!/bin/bash
# Lines are in the journal under the unit's name, with the right priority and without a prefix.
. "$(dirname "$0")/lib.sh"
echo RETORTD_VERBOSE=2 >>"$settings"
start=$(now)
load request 8083 hello >/dev/null

expect "a request is logged" soon 5 says "$start" 'uppercase'
priority() { logged "$start" --output=json --output-fields=PRIORITY,MESSAGE | grep -F "$1" | grep -o '"PRIORITY":"[0-9]"' | sort -u; }
equal "requests have the priority of debugging" '"PRIORITY":"7"' "$(priority uppercase)"
equal "no message begins with a priority or a date" "" "$(logged "$start" | grep -E '^(<|[0-9]{4}-)' || true)"

echo RETORTD_WORKERS=nonsense >>"$settings"
expect "with wrong settings reload fails" eval '! systemctl reload retortd.service'
warned() { logged "$start" --priority=warning | grep RETORTD_WORKERS; }
expect "wrong settings are logged as an error or a warning" soon 5 warned
