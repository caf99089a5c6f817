#!/bin/bash
# The service behind a load balancer, as in retortd(8) and docs/load-balancers.md: the option of the listener in the
# settings and in the name of a descriptor, and a balancer that connects to the Unix socket.
. "$(dirname "$0")/lib.sh"
# request FAMILY ADDRESS [HEADER]: sends a header, if there is one, and a request; prints the text of the reply.
request() { python3 - "$@" <<'PYTHON'
import socket, sys
with socket.socket(getattr(socket, "AF_" + sys.argv[1])) as sock:
    sock.settimeout(10)
    sock.connect(("127.0.0.1", int(sys.argv[2])) if sys.argv[1] == "INET" else sys.argv[2])
    reply = b""
    try:
        sock.sendall("".join(header + "\r\n" for header in sys.argv[3:]).encode() + b"\x08\0\0\2hi")
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(1000):
            reply += piece
    except ConnectionError:
        pass
print(reply[4:].decode())
PYTHON
}
header="PROXY TCP4 192.0.2.10 192.0.2.1 5000 8083"
tcp() { request INET 8083 "$@"; }
unix() { request UNIX "$path" "$@"; }
path=/run/retortd.sock
expect "a Unix socket is enabled" systemctl enable retortd-unix.socket
expect "and started" systemctl restart retortd.service
equal "no header is expected" HI "$(tcp)"

echo "# In the settings"
printf '%s\n' RETORTD_LISTENER_OPTIONS=frame,proxy RETORTD_PROXY_FROM=127.0.0.1 >>"$settings"
start=$(now)
expect "the settings are applied" systemctl try-reload-or-restart retortd
equal "the check of the reload does not warn" "" "$(logged "$start" | grep 'matches no listener' || true)"
equal "an announced client is served" HI "$(tcp "$header")"
equal "a client without a header is not" "" "$(tcp)"
equal "nor one of the Unix socket" "" "$(unix)"

echo "# In the name of a descriptor"
sed -i '/^RETORTD_LISTENER_OPTIONS/d' "$settings"
printf '%s\n' '[Socket]' FileDescriptorName=frame,proxy >/root/drop-in
expect "the drop-in is written" edit_by "systemctl edit retortd.socket"
expect "the socket is stopped" systemctl stop retortd.socket
expect "the restart of the service starts it" systemctl restart retortd.service
equal "an announced client is served" HI "$(tcp "$header")"
equal "a client without a header is not" "" "$(tcp)"
equal "a client of the Unix socket is" HI "$(unix)"

echo "# A balancer on the same machine"
systemctl disable --now retortd.socket
systemctl stop retortd.service
systemctl stop retortd-unix.socket
path=/var/lib/balancer/run/retortd.sock
printf '%s\n' '[Socket]' FileDescriptorName=frame,proxy SocketGroup=daemon ListenStream= "ListenStream=$path" >/root/drop-in
expect "the drop-in is written" edit_by "systemctl edit retortd-unix.socket"
expect "the socket is started" systemctl enable --now retortd-unix.socket
equal "its file is for the group" "660 root daemon" "$(stat --format="%a %U %G" $path)"
equal "an announced client is served" HI "$(unix "$header")"
equal "a client without a header is not" "" "$(unix)"
expect "the port is free" eval '! ss --no-header --tcp --listening --numeric | grep -q ":8083 "'
