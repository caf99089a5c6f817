#!/bin/bash
# retortd-inetd.socket replaces retortd.socket: a process for each connection, in the same sandbox.
. "$(dirname "$0")/lib.sh"
instances() { systemctl list-units --no-legend --plain 'retortd-inetd@*.service' | wc -l; }
none() { [ "$(instances)" = 0 ]; }

systemctl start retortd-inetd.socket
equal "the other socket has gone" inactive "$(systemctl is-active retortd.socket || true)"
equal "a client gets its reply" HELLO "$(load request 8083 hello)"
expect "its process exits with it" soon 10 none
equal "the shared service was not started" 0 "$(property retortd.service ActiveEnterTimestampMonotonic)"

exec 7<>/dev/tcp/127.0.0.1/8083 8<>/dev/tcp/127.0.0.1/8083
two() { [ "$(systemctl list-units --no-legend --state=active 'retortd-inetd@*.service' | wc -l)" = 2 ]; }
expect "two clients have two processes" soon 10 two
pids=$(systemctl show --value --property=MainPID 'retortd-inetd@*.service' | grep -v '^$')
for pid in $pids; do
  expect "process $pid has a seccomp filter" grep -qE '^Seccomp:\s+2' "/proc/$pid/status"
  expect "and no capability" grep -qE '^CapEff:\s+0+$' "/proc/$pid/status"
done
exec 7>&- 8>&-
expect "both processes exit" soon 10 none
begin_load visits 8083 4
sleep 2
end_load
expect "all processes exit" soon 20 none
echo RETORTD_CONNECTION=echo >>"$settings"
# talk: what a client gets back that sends abc; that is no frame.
talk() { python3 -c '
import socket
with socket.create_connection(("127.0.0.1", 8083), 10) as sock:
    sock.sendall(b"abc")
    print(sock.recv(10).decode())'; }
equal "the setting gives a meaning to the name that systemd passes" abc "$(talk)"
equal "no unit has failed" "" "$(systemctl list-units --failed --no-legend)"
