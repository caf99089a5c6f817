#!/bin/bash
# retortd-metrics.socket: metrics and health of the service in its sandbox. The commands are those of retortd(8).
. "$(dirname "$0")/lib.sh"
sed -i 's/^RETORTD_EXIT_IDLE=.*/RETORTD_EXIT_IDLE=1s/' "$settings"
# page PATH [PORT]: the status and the content of a page. Python's minimal library has no http.client.
page() { python3 - "$1" "${2:-9383}" <<'PYTHON'
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[2])), 10) as sock:
    sock.sendall(f"GET {sys.argv[1]} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    reply = b""
    while piece := sock.recv(65536):
        reply += piece
head, _, content = reply.decode().partition("\r\n\r\n")
print(head.split()[1], content)
PYTHON
}
has() { page /metrics | grep -xE -- "$1" >/dev/null; } # not -q: a page that nobody reads to its end is an error

equal "it is disabled" disabled "$(systemctl is-enabled retortd-metrics.socket || true)"
load request 8083 hello >/dev/null # the service runs
start=$(now)
expect "it is enabled" systemctl enable retortd-metrics.socket
expect "the restart starts it" systemctl restart retortd.service
expect "the service serves it" soon 10 has 'retortd_workers [1-9][0-9]*'
equal "--exit-idle of the settings is nothing to warn about" "" "$(logged "$start" --priority=warning --grep=exit-idle)"
equal "the service is ready" "200 ready" "$(page /readyz)"
equal "the service is alive" "200 alive" "$(page /livez)"
load request 8083 hello >/dev/null
expect "a client is counted, with the one before the restart" \
  soon 10 has 'retortd_accepted_connections_total\{protocol="frame"\} 2'
expect "the sandbox shows the process to itself" has 'process_open_fds [1-9][0-9]*'
expect "and its memory" has 'process_resident_memory_bytes [1-9][0-9]{5,}'
first=$(pid)
sleep 3 # three times RETORTD_EXIT_IDLE
equal "the service stays" "$first" "$(pid)"

expect "the service stops" systemctl stop retortd.service
equal "the socket listens" active "$(systemctl is-active retortd-metrics.socket)"
equal "a probe starts the service" "200 ready" "$(page /readyz)"
equal "which serves its clients, too" HELLO "$(load request 8083 hello)"

echo '# another address, and an agent in a socket unit of its own'
printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:9483\n' >/root/drop-in
expect "the drop-in is written" edit_by "systemctl edit retortd-metrics.socket"
cat >/etc/systemd/system/retortd-agent.socket <<'UNIT'
[Socket]
ListenStream=127.0.0.1:9484
FileDescriptorName=agent
Service=retortd.service

[Install]
WantedBy=sockets.target retortd.service
UNIT
systemctl daemon-reload
systemctl enable retortd-agent.socket
expect "the socket stops" systemctl stop retortd-metrics.socket
expect "the service is restarted" systemctl restart retortd.service
equal "the service is ready at the other address" "200 ready" "$(page /readyz 9483)"
agent() { python3 -c 'import socket; print(socket.create_connection(("127.0.0.1", 9484), 10).makefile().read().strip())'; }
equal "the agent reports it, too" "up ready 100%" "$(agent)"

echo '# a stop that no probe ends'
expect "the service and its sockets stop" \
  systemctl stop retortd.service retortd.socket retortd-metrics.socket retortd-agent.socket
for unit in retortd.service retortd.socket retortd-metrics.socket; do
  equal "$unit is stopped" inactive "$(systemctl is-active $unit || true)"
done
