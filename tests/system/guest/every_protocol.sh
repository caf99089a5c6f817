#!/bin/bash
# Every protocol's socket, enabled as the manual says, and tried with the protocol's first example (examples.tsv is
# generated from the list of protocols).
. "$(dirname "$0")/lib.sh"
load request 8083 hello >/dev/null # the service runs already when the sockets are enabled
mapfile -t protocols < <(retortd --list | grep -vF '(no protocol for clients)' | cut -d' ' -f1)
mapfile -t sockets < <(systemctl list-unit-files --no-legend 'retortd*.socket' | cut -d' ' -f1 | grep -vE 'inetd|metrics|unix')
systemctl enable --quiet "${sockets[@]}"
expect "a running service gets them when it is restarted" systemctl restart retortd.service

# talk PORT REQUEST: sends the request, half-closes, and prints the reply; bytes that are not printable ASCII as \xHH.
talk() { python3 - "$@" <<'PYTHON'
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as sock:
    sock.sendall(sys.argv[2].encode())
    sock.shutdown(socket.SHUT_WR)
    reply = b""
    while len(reply) < 1000 and (piece := sock.recv(1000)):
        reply += piece
print("".join(chr(byte) if 32 <= byte < 127 else "\\x%02x" % byte for byte in reply))
PYTHON
}
# play PROTOCOL: plays the example of a protocol, and fails unless the reply is the expected one.
play() { python3 - "$guest/examples.tsv" "$1" <<'PYTHON'
import socket, subprocess, sys
with open(sys.argv[1]) as examples:
    fields = next(fields for line in examples if (fields := line.rstrip("\n").split("\t"))[0] == sys.argv[2])
unit, (send, start, end) = fields[1], (part.encode().decode("unicode_escape").encode("latin-1") for part in fields[2:5])
low, high, endless = int(fields[5]), int(fields[6]), fields[7] == "endless"
settings = subprocess.run(["systemctl", "cat", unit], capture_output=True, text=True, check=True).stdout
port = next(int(line.split("=")[1]) for line in settings.splitlines() if line.startswith("ListenStream="))
with socket.create_connection(("127.0.0.1", port), 10) as sock:
    sock.sendall(send)
    sock.shutdown(socket.SHUT_WR)
    reply = b""
    while (not endless or len(reply) < high) and (piece := sock.recv(high - len(reply) if endless else 4096)):
        reply += piece
sys.exit(not (reply.startswith(start) and reply.endswith(end) and low <= len(reply) <= high))
PYTHON
}
port() { systemctl cat "$1" | sed -n 's/^ListenStream=//p'; }
like() { expect "$1" grep -qE -- "$2" <(talk "$(port "retortd-$1.socket")" ""); }

for protocol in "${protocols[@]}"; do
  expect "$protocol" play "$protocol"
done
# The content of two replies; the examples describe only their form.
like qotd '^.{10,}'
like daytime "$(date -u +%Y)"

equal "there is a socket for each protocol" "${#protocols[@]}" "${#sockets[@]}"
equal "all in one service" 1 "$(systemctl list-units --no-legend --state=active 'retortd*.service' | wc -l)"
equal "all enabled for the next boot" ${#sockets[@]} "$(find /etc/systemd/system/sockets.target.wants -name 'retortd*' | wc -l)"

# One of them is disabled and stopped: it is gone, and the others stay.
systemctl disable --quiet --now retortd-echo.socket
expect "without one of them the service goes on" systemctl restart retortd.service
equal "it listens no more" "" "$(ss --no-header --tcp --listening --numeric 'sport = :7')"
equal "the others do" '5 olleH' "$(talk 8082 'reverse 5 Hello')"
