#!/bin/bash
# The commands for administrators in retortd(8) and README.md, as they are written there, beside a client that has
# started the service. tests/documentation.rs requires that each of them is here or in another of these tests.
. "$(dirname "$0")/lib.sh"
# The ports on which systemd or the service listens.
ports() { ss --no-header --tcp --listening --numeric | awk '{ sub(".*:", "", $4); print $4 }' | sort -nu | xargs; }
served() { equal "$1" HELLO "$(load request "$2" hello)"; }
runs() { is retortd.service ActiveState active; }
served "the service runs" 8083

echo "# After an installation"
systemctl daemon-reload
expect "enabling the socket again does no harm" systemctl enable --now retortd.socket
expect "the log is in the journal" journalctl -u retortd
equal "a socket for each protocol, one for inetd, one for metrics and a Unix socket are installed" \
  "$(($(retortd --list | grep -vcF '(no protocol for clients)') + 3))" \
  "$(systemctl list-unit-files 'retortd*' | grep -c '\.socket')"
expect "the status is that of the service" systemctl status retortd

echo "# Settings"
pid=$(pid)
expect "a reload succeeds" systemctl reload retortd
expect "so does the reload of a service that may not run" systemctl try-reload-or-restart retortd
echo RETORTD_MAX_MESSAGE=nonsense >>"$settings"
expect "it fails if a setting is wrong" eval '! systemctl try-reload-or-restart retortd'
equal "and restarts nothing" "$pid" "$(pid)"
sed -i '/^RETORTD_MAX_MESSAGE/d' "$settings"
expect "a restart succeeds" systemctl restart retortd

systemctl stop retortd.service
expect "a reload fails while the service does not run" eval '! systemctl reload retortd'
expect "that of a service that may not run succeeds" systemctl try-reload-or-restart retortd
equal "and starts nothing" inactive "$(systemctl is-active retortd.service || true)"
expect "the status of the socket says that systemd listens" systemctl status retortd.socket
served "a client starts the service" 8083

start=$(now)
echo RETORTD_LISTEN=frame=9083 >>"$settings"
expect "a service without network cannot listen by itself" eval '! systemctl restart retortd'
equal "because of the configuration" 78 "$(property retortd.service ExecMainStatus)"
expect "the log says where the address belongs" says "$start" 'systemctl edit retortd\.socket'
sed -i '/^RETORTD_LISTEN/d' "$settings"
expect "without the setting it starts" systemctl restart retortd
served "and serves" 8083

echo "# Another port or address"
listen_on() { printf '[Socket]\nListenStream=\nListenStream=%s\n' "$1" >/root/drop-in; }
listen_on 127.0.0.1:9083
edit() { edit_by "systemctl edit retortd.socket"; }
expect "the drop-in is written" edit
expect "the socket is stopped" systemctl stop retortd.socket
expect "the restart of the service starts it" systemctl restart retortd.service
equal "the port has moved" 9083 "$(ports)"
equal "to the one address" "127.0.0.1:9083" "$(property retortd.socket Listen | cut -d' ' -f1)"
served "it is served there" 9083

# As at a boot that opens the sockets before the network has its addresses.
listen_on 192.0.2.1:9083
expect "an address that the machine does not have is written" edit
systemctl stop retortd.socket retortd.service
expect "its socket fails" eval '! systemctl start retortd.socket'
echo FreeBind=yes >>/root/drop-in
expect "FreeBind=yes is added" edit
expect "its socket starts" systemctl start retortd.socket
listen_on 127.0.0.1:9083
expect "the address of before is written" edit
expect "the socket is stopped" systemctl stop retortd.socket
expect "the restart of the service starts it" systemctl restart retortd.service
served "it is served there" 9083
expect "the drop-in is removed" systemctl revert retortd.socket

# Clients that connect meanwhile change nothing.
(while true; do : <>/dev/tcp/127.0.0.1/9083 || : <>/dev/tcp/127.0.0.1/8083 || true; done) 2>/dev/null &
client=$!
for round in {1..10}; do
  systemctl stop retortd.socket
  systemctl restart retortd.service || fail "restart $round while clients connect"
done
kill $client || fail "the client has ended"
served "the port has moved back while clients were connecting" 8083
equal "completely" 8083 "$(ports)"

echo "# Other protocols"
expect "a socket is enabled" systemctl enable retortd-echo.socket
expect "the restart starts it" systemctl restart retortd.service
equal "both ports are open" "7 8083" "$(ports)"
expect "it is disabled" systemctl disable --now retortd-echo.socket
expect "the restart closes its port" systemctl restart retortd.service
equal "the other port is open" 8083 "$(ports)"

expect "enable --now fails while the service runs" eval '! systemctl enable --now retortd-echo.socket'
expect "with the reason" grep -q 'retortd.service already active, refusing' \
  <(journalctl --sync && journalctl --quiet --unit=retortd-echo.socket)
expect "but the socket is enabled" systemctl is-enabled retortd-echo.socket
expect "the restart is what is missing" systemctl restart retortd.service
equal "both ports are open again" "7 8083" "$(ports)"
systemctl disable --quiet --now retortd-echo.socket
systemctl stop retortd.service
expect "enable --now is enough while the service does not run" systemctl enable --now retortd-echo.socket
equal "both ports are open once more" "7 8083" "$(ports)"
systemctl disable --quiet --now retortd-echo.socket

echo "# A process for each connection"
served "the service runs" 8083
expect "the socket is disabled" systemctl disable --now retortd.socket
expect "the service is stopped" systemctl stop retortd.service
equal "nothing listens" "" "$(ports)"
expect "the other socket starts" systemctl enable --now retortd-inetd.socket
served "it is served" 8083
equal "not by the service" inactive "$(systemctl is-active retortd.service || true)"
equal "the next boot starts the one socket" retortd-inetd.socket \
  "$(find /etc/systemd/system/sockets.target.wants -name 'retortd*' -printf '%f')"
expect "it is disabled again" systemctl disable --now retortd-inetd.socket
expect "the first socket is enabled" systemctl enable retortd.socket
expect "the restart of the service starts it" systemctl restart retortd.service
served "it is served" 8083
expect "by the service" runs

echo "# Without a socket"
systemctl disable --quiet --now retortd.socket
systemctl stop retortd.service
start=$(now)
expect "the service cannot start" eval '! systemctl start retortd.service'
equal "because of the configuration" 78 "$(property retortd.service ExecMainStatus)"
expect "the log says what to start" says "$start" 'systemctl start retortd\.socket'
expect "the socket starts" systemctl start retortd.socket
served "it is served" 8083
