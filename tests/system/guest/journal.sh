#!/bin/bash
# Lines are in the journal under the unit's name, with the right priority, without a prefix, and with fields.
. "$(dirname "$0")/lib.sh"
echo RETORTD_VERBOSE=2 >>"$settings"
start=$(now)
load request 8083 hello >/dev/null

expect "a request is logged" soon 5 says "$start" 'uppercase'
priority() { logged "$start" --output=json --output-fields=PRIORITY,MESSAGE | grep -F "$1" | grep -o '"PRIORITY":"[0-9]"' | sort -u; }
equal "requests have the priority of debugging" '"PRIORITY":"7"' "$(priority uppercase)"
equal "no message begins with a priority or a date" "" "$(logged "$start" | grep -E '^(<|[0-9]{4}-)' || true)"

# The log goes to the journal itself, without a setting for that.
equal "the journal has it from the daemon, not from its standard error" journal \
  "$(logged "$start" --output=json | grep uppercase | grep -o '"_TRANSPORT":"[a-z]*"' | cut -d'"' -f4 | sort -u)"
reset() {
  python3 -c 'import socket, struct
client = socket.create_connection(("127.0.0.1", 8083))
client.sendall(b"\0")
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))'
}
reset
found() { journalctl --sync && journalctl -u retortd RETORTD_REASON=reset | grep -q "$1"; }
expect "journalctl finds connections by their reason" soon 5 found 'closed: reset'
equal "and only those" 1 "$(journalctl -u retortd RETORTD_REASON=reset --quiet --output=cat | wc -l)"
# A running service gets a socket when it is restarted.
systemctl enable --quiet retortd-echo.socket
systemctl restart retortd.service
load request 8083 hello >/dev/null
python3 -c 'import socket; socket.create_connection(("127.0.0.1", 7)).sendall(b"x")'
by_listener() {
  journalctl --sync && journalctl -u retortd RETORTD_LISTENER=echo -o verbose | grep -qE 'RETORTD_PEER=127\.0\.0\.1:[0-9]+'
}
expect "journalctl finds connections by their listener, with the client" soon 5 by_listener
equal "and only those" "" "$(journalctl -u retortd RETORTD_LISTENER=echo --quiet --output=cat | grep -v '^echo ' || true)"

# As a JSON object the message has the same facts.
echo RETORTD_LOG_FORMAT=json >>"$settings"
systemctl restart retortd.service
start=$(now)
load request 8083 hello >/dev/null
object='^\{.*"level":"debug",.*"listener":"frame",.*"action":"uppercase",.*\}$'
expect "with --log-format json the message is an object" soon 5 says "$start" "$object"

echo RETORTD_WORKERS=nonsense >>"$settings"
expect "with wrong settings reload fails" eval '! systemctl reload retortd.service'
warned() { logged "$start" --priority=warning | grep RETORTD_WORKERS; }
expect "wrong settings are logged as an error or a warning" soon 5 warned
# The journal finds out the unit of a message with fields only while its sender lives.
equal "the process that ends at once writes it to its standard error" stdout \
  "$(logged "$start" --output=json | grep RETORTD_WORKERS | grep -o '"_TRANSPORT":"[a-z]*"' | cut -d'"' -f4 | sort -u)"
