#!/bin/bash
# retortd-unix.socket in the sandbox, clients of Unix sockets with and without PrivateUsers=, and names of descriptors that
# systemd does not pass on. The commands are those of retortd(8).
. "$(dirname "$0")/lib.sh"
load request 8083 hello >/dev/null # the service runs already

# unix PATH TEXT [USER]: sends a request of the frame protocol, half-closes and prints the reply without its header.
unix() { setpriv --reuid="${3:-0}" --regid="${3:-0}" --clear-groups python3 - "$1" "$2" <<'PYTHON'
import socket, struct, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.settimeout(10)
    sock.connect(sys.argv[1])
    text = sys.argv[2].encode()
    sock.sendall(struct.pack(">I", 1 << 27 | len(text)) + text)
    sock.shutdown(socket.SHUT_WR)
    reply = b""
    while piece := sock.recv(1000):
        reply += piece
print(reply[4:].decode())
PYTHON
}
file() { stat --format="%a %U %G" /run/retortd.sock; }
path=/run/retortd.sock

echo "# The socket of the package"
equal "it is disabled" disabled "$(systemctl is-enabled retortd-unix.socket || true)"
echo RETORTD_VERBOSE=1 >>"$settings"
expect "it is enabled" systemctl enable retortd-unix.socket
expect "the restart starts it" systemctl restart retortd.service
expect "the service serves it" soon 10 says @0 "listening on frame=unix:$path"
equal "its file is for root" "660 root root" "$(file)"
start=$(now)
equal "a client gets its reply" HELLO "$(unix $path hello)"
expect "the log names the user" soon 10 says "$start" 'frame unix:pid=(unknown|[0-9]+),uid=0,gid=0: closed: finished'
equal "port 8083 is served, too" HELLO "$(load request 8083 hello)"

echo "# A group of clients"
printf '%s\n' '[Socket]' SocketGroup=daemon >/root/drop-in
expect "the drop-in is written" edit_by "systemctl edit retortd-unix.socket"
expect "the socket is stopped" systemctl stop retortd-unix.socket
expect "the file is removed" test ! -e $path
expect "the restart starts it" systemctl restart retortd.service
equal "its file is for the group" "660 root daemon" "$(file)"
expect "another user may not connect" eval "! unix $path hello 2"
start=$(now)
equal "a user of the group gets a reply" HELLO "$(unix $path hello 1)"

echo "# PrivateUsers="
expect "an unknown user is logged as such" soon 10 says "$start" 'frame unix:pid=[a-z0-9]+,uid=unknown,gid=unknown: closed'
echo RETORTD_MAX_PER_SOURCE=1 >>"$settings"
expect "a limit for each source" systemctl restart retortd
# hold USER: connects, waits until a byte comes back or the connection is closed, and says which; holds it until killed.
hold() { setpriv --reuid="$1" --regid=1 --clear-groups python3 -c '
import socket, time
sock = socket.socket(socket.AF_UNIX)
sock.connect("'$path'")
try:
    sock.sendall(b"\x08\x00\x00\x01a")
    served = sock.recv(5)
except ConnectionError:
    served = False
print("served" if served else "closed", flush=True)
time.sleep(60)' >"/root/held.$2" & }
held() { [ -s "/root/held.$1" ]; }
hold 1 one; expect "a first client is served" soon 10 held one
hold 1 two; expect "so is a second" soon 10 held two
equal "unknown users are not counted" "served served" "$(xargs </root/held.one) $(xargs </root/held.two)"
printf '%s\n' '[Service]' PrivateUsers=no >/root/drop-in
expect "the drop-in of the service is written" edit_by "systemctl edit retortd.service"
expect "the users are known with PrivateUsers=no" systemctl restart retortd.service
start=$(now)
hold 1 three; expect "the first client of a user is served" soon 10 held three
hold 1 four; expect "a second one is closed" soon 10 held four
equal "users are counted" "served closed" "$(xargs </root/held.three) $(xargs </root/held.four)"
expect "the log names the user" says "$start" 'frame unix:pid=[a-z0-9]+,uid=1,gid=1: closed: source-limit'
sed -i '/^RETORTD_MAX_PER_SOURCE/d' "$settings"

echo "# A path in the settings"
own=/run/retortd/own
drop_in retortd.service Service RuntimeDirectory=retortd RuntimeDirectoryPreserve=yes
cp "$settings" /root/settings
echo "RETORTD_LISTEN=frame=unix:$own" >>"$settings"
expect "the service binds the socket" systemctl restart retortd.service
equal "the socket and its lock have their modes" "660 600" "$(stat --format=%a $own $own.lock | xargs)"
equal "a client gets its reply" HELLO "$(unix $own hello)"
expect "the service is killed" systemctl kill --signal=KILL retortd.service
expect "it starts again" systemctl restart retortd.service
equal "what was left is replaced" HELLO "$(unix $own hello)"
expect "the service stops" systemctl stop retortd.socket retortd-unix.socket retortd.service
expect "both files are removed" test ! -e $own -a ! -e $own.lock
cp /root/settings "$settings"
rm /run/systemd/system/retortd.service.d/service.conf

echo "# Names of descriptors"
# restart_as NAME: the service with one socket of its own, whose descriptor has this name.
restart_as() {
  printf '%s\n' '[Socket]' Service=retortd.service ListenStream=127.0.0.1:7007 "FileDescriptorName=$1" \
    >/run/systemd/system/retortd-echo.socket
  systemctl daemon-reload
  systemctl stop retortd.socket retortd-unix.socket retortd-echo.socket retortd.service
  systemctl reset-failed 'retortd*'
  systemctl start retortd-echo.socket
  systemctl start retortd.service
}
echoed() { python3 -c '
import socket
try:
    with socket.create_connection(("127.0.0.1", 7007), 10) as sock:
        sock.sendall(b"abc")
        print(sock.recv(10).decode())
except ConnectionError:
    print()'; }
expect "a socket starts" restart_as echo
equal "its clients are served" abc "$(echoed)"
echo 'RETORTD_LISTENER_OPTIONS=echo,deny=127.0.0.0/8' >>"$settings"
expect "the service starts again" restart_as echo
equal "the settings deny its clients" "" "$(echoed)"
start=$(now)
# systemd ignores a name with a colon, and passes the name of the unit
expect "a socket starts whose name systemd ignores" restart_as 'echo,proxy:x'
expect "it is served by the name of its unit" says "$start" 'listening on echo=127.0.0.1:7007'
equal "the settings deny its clients all the same" "" "$(echoed)"
expect "a name that allows something is refused" eval '! restart_as echo,allow=127.0.0.1'
equal "as an error of the configuration" 78 "$(property retortd.service ExecMainStatus)"
