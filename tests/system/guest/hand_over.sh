#!/bin/bash
# A restart hands every connection over, by `systemctl restart` and by SIGUSR2, and no byte of a reply is lost or wrong. A
# stop drains. Wrong settings, lower limits, and sockets that are gone.
. "$(dirname "$0")/lib.sh"
open_every_listener
start=$(now)

echo "# Ten restarts with 10,000 connections"
established --idle 10000 --rounds 10 -- systemctl restart retortd
equal "nothing is stored afterwards" 0 "$(stored)"
statistics() { logged "$start" --grep='^statistics: accepted'; }
systemctl kill --signal=USR1 --kill-who=main retortd.service
counted() { says "$start" '^statistics: accepted'; }
expect "the statistics are logged" soon 5 counted
opened=$(sed -n 's/^connections opened: //p' /root/established)
equal "they count every connection since the first process" "accepted $opened" \
  "$(statistics | tail -n 1 | grep -o 'accepted [0-9]*')"
equal "no connection was closed by a restart" "" "$(statistics | grep -oE 'handover-failed|drain' || true)"
equal "no warning is logged but that of clients that have gone" "" \
  "$(logged "$start" --priority=warning | grep -v 'no valid PROXY header' || true)"

echo "# The example in README.md"
retort ping localhost -c 3 >/root/ping &
first() { grep -q seq=1 /root/ping; }
soon 5 first || fail "no reply to the first ping"
expect "it restarts meanwhile" systemctl restart retortd
wait
sed 's/^/note: /' /root/ping
expect "no ping is lost" grep -q '^3 sent, 3 received, 0 lost' /root/ping

echo "# SIGUSR2"
restarts=$(property retortd.service NRestarts)
established --rounds 3 -- hand_over_by_signal
equal "systemd has restarted the service each time" $((restarts + 3)) "$(property retortd.service NRestarts)"
equal "after a success" success "$(property retortd.service Result)"

echo "# A setting that the next process would not accept"
cp "$settings" /root/settings
echo RETORTD_MAX_MESSAGE=nonsense >>"$settings"
refused() {
  local start pid
  start=$(now) pid=$(pid)
  systemctl kill -s USR2 --kill-who=main retortd
  soon 10 says "$start" 'RETORTD_MAX_MESSAGE.*nonsense'
  [ "$(pid)" = "$pid" ]
}
established --rounds 2 -- refused
equal "the service goes on" active "$(systemctl is-active retortd.service)"
start=$(now)
pid=$(pid)
expect "after systemctl restart it cannot start" eval '! systemctl restart retortd.service'
equal "because of the configuration" 78 "$(property retortd.service ExecMainStatus)"
expect "the log of the process that stopped has the reason" \
  grep -qE 'RETORTD_MAX_MESSAGE.*nonsense' <(logged "$start" "_PID=$pid")
equal "nothing was stored" 0 "$(stored)"
cp /root/settings "$settings"
expect "with right settings it starts" systemctl restart retortd.service

echo "# A unit without a place for the descriptor"
without_store() {
  local start
  start=$(now)
  systemctl kill -s USR2 --kill-who=main retortd
  soon 10 says "$start" 'the service manager has not kept them'
}
drop_in retortd.service Service FileDescriptorStoreMax=0
established --once --idle 10 -- without_store
rm /run/systemd/system/retortd.service.d/service.conf
systemctl daemon-reload

echo "# A limit that is lower than the number of connections"
lower() { echo RETORTD_MAX_CONNECTIONS=10 >>"$settings"; systemctl restart retortd.service; }
established --once -- lower
cp /root/settings "$settings"
expect "the limit is removed" systemctl restart retortd.service

echo "# A socket that is gone"
without_echo() { systemctl stop retortd-echo.socket; systemctl restart retortd.service; }
established --once -- without_echo
equal "the connections of its protocol were kept, and it listens no more" "" \
  "$(ss --no-header --tcp --listening --numeric 'sport = :7')"

echo "# A stop"
start=$(now)
exec 7<>/dev/tcp/127.0.0.1/8083
equal "the service replies" HELLO "$(load request 8083 hello)"
systemctl stop --quiet retortd.socket
expect "it stops" systemctl stop retortd
expect "a connection without a request is closed" timeout 5 cat <&7
equal "nothing is stored" 0 "$(stored)"
equal "nothing was handed over" "" "$(logged "$start" --grep='hand(ed|s|ing)?[ -]over' || true)"

echo "# Without the hand-over"
printf '[Service]\nEnvironment=RETORTD_HAND_OVER=no\n' >/root/drop-in
expect "the drop-in is written" edit_by "systemctl edit retortd.service"
systemctl start retortd.socket
exec 7<>/dev/tcp/127.0.0.1/8083
equal "the service replies" HELLO "$(load request 8083 hello)"
pid=$(pid)
expect "it restarts" systemctl restart retortd
equal "it replies" HELLO "$(load request 8083 hello)"
expect "in another process" test "$(pid)" != "$pid"
expect "the connection of before was closed" timeout 5 cat <&7
