#!/bin/bash
# Every protocol's socket, enabled as the manual says, and tried with what its protocol asks and answers.
. "$(dirname "$0")/lib.sh"
load ask 8083 hello >/dev/null # the service runs: the sockets must join it all the same
mapfile -t sockets < <(systemctl list-unit-files --no-legend 'retortd*.socket' | cut -d' ' -f1 | grep -v inetd)
systemctl enable --quiet "${sockets[@]}"
expect "they join a running service when that is restarted" systemctl restart retortd.service

# talk PORT REQUEST: sends (escapes as in printf %b), ends its side, and prints all that comes, as text.
talk() { python3 - "$@" <<'PYTHON'
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as sock:
    sock.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
    sock.shutdown(socket.SHUT_WR)
    answer = b""
    while len(answer) < 1000 and (piece := sock.recv(1000)):
        answer += piece
print("".join(chr(byte) if 32 <= byte < 127 else "\\x%02x" % byte for byte in answer))
PYTHON
}
port() { systemctl cat "$1" | sed -n 's/^ListenStream=//p'; }
try() { equal "$1" "$3" "$(talk "$(port "retortd-$1.socket")" "$2")"; }
like() { expect "$1" grep -qE -- "$3" <(talk "$(port "retortd-$1.socket")" "$2"); }

equal "frame" '\x00\x00\x00\x05HELLO' "$(talk 8083 '\x08\x00\x00\x05hello')"
try frame-2021 '\x20\x00\x00\x07old man' '\x00\x00\x00\x07Old Man'
try text 'reverse 5 Hello' '5 olleH'
try echo 'hello' 'hello'
try echo-prefix 'hello' 'Echo: hello'
try ack 'hello' 'Message received!'
try respond 'hello' 'Response: HELLO'
try upper '  hello ' 'HELLO'
try upper-line '  hello \nmore' 'HELLO'
try length-prefix '\x00\x00\x00\x02hi' '\x00\x00\x00\x02hi'
try record 'hello' 'hello'
try discard 'hello' ''
like chargen '' '^ !"#\$%&'
like qotd '' '^.{10,}'
like daytime '' "$(date -u +%Y)"
like time '' '^(\\x..|.){4}$'

tried=16
equal "there is a socket for each protocol" "$(retortd --list | wc -l)" "${#sockets[@]}"
equal "and each was tried" $tried "${#sockets[@]}"
equal "all in one service" 1 "$(systemctl list-units --no-legend --state=active 'retortd*.service' | wc -l)"
equal "all enabled for the next boot" ${#sockets[@]} "$(find /etc/systemd/system/sockets.target.wants -name 'retortd*' | wc -l)"

# Disabled and stopped, one leaves, and the others stay.
systemctl disable --quiet --now retortd-echo.socket
expect "without one of them the service goes on" systemctl restart retortd.service
equal "it listens no more" "" "$(ss --no-header --tcp --listening --numeric 'sport = :7')"
equal "the others do" '5 olleH' "$(talk 8082 'reverse 5 Hello')"
