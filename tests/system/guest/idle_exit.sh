#!/bin/bash
# The service exits with 0 when it is idle, and starts again with the next connection.
. "$(dirname "$0")/lib.sh"
expect "the package sets a time" grep -qx 'RETORTD_EXIT_IDLE=5m' "$settings"
sed -i 's/^RETORTD_EXIT_IDLE=.*/RETORTD_EXIT_IDLE=1s/' "$settings"
gone() { is retortd.service ActiveState inactive; }

for round in 1 2 3; do
  equal "round $round: a client gets its reply" HELLO "$(load request 8083 hello)"
  expect "round $round: the service runs" is retortd.service ActiveState active
  expect "round $round: the service exits" soon 10 gone
  equal "round $round: with success" "success 0" "$(property retortd.service Result) $(property retortd.service ExecMainStatus)"
  equal "round $round: the socket listens" listening "$(property retortd.socket SubState)"
done

# A connected client prevents the exit.
exec 9<>/dev/tcp/127.0.0.1/8083
soon 5 is retortd.service ActiveState active || fail "a connection started no service"
sleep 3
equal "it stays while a client is connected" active "$(systemctl is-active retortd.service)"
exec 9>&-
expect "it exits when the client has disconnected" soon 10 gone

# Connections that arrive during the exit are served.
sed -i 's/^RETORTD_EXIT_IDLE=.*/RETORTD_EXIT_IDLE=100ms/' "$settings"
for _ in {1..25}; do
  [ "$(load request 8083 hello)" = HELLO ] || fail "a client that connected while the service exited"
  sleep 0.1
done
echo "ok: clients that connect while it exits are served"
