#!/bin/bash
# Invalid settings: systemctl status shows the error, restarts are limited, and the corrected service starts.
. "$(dirname "$0")/lib.sh"
cp "$settings" /root/settings

echo RETORTD_WORKERS=nonsense >>"$settings"
expect "starting by hand fails" eval '! systemctl start retortd.service'
equal "because of the configuration" "exit-code 78" \
  "$(property retortd.service Result) $(property retortd.service ExecMainStatus)"
expect "systemctl status says what is wrong" \
  grep -q 'RETORTD_WORKERS.*nonsense' <(systemctl --no-pager --full status retortd.service)
equal "systemd did not try again" 0 "$(property retortd.service NRestarts)"

# A waiting client makes the socket start the service repeatedly.
start=$(now)
(load request 8083 hello >/root/reply) &
client=$!
sleep 12
attempts=$(logged "$start" | grep -c 'RETORTD_WORKERS' || true)
echo "note: $attempts attempts in 12 s"
expect "with a client waiting there are a few attempts ($attempts)" test "$attempts" -ge 2 -a "$attempts" -le 3
equal "the socket has not failed" active "$(systemctl is-active retortd.socket)"

cp /root/settings "$settings"
expect "when the settings are corrected, the client is served" wait $client
equal "with the right reply" HELLO "$(cat /root/reply)"

# An unknown option does not cause restarts either.
drop_in retortd.service Service ExecStart= 'ExecStart=/usr/sbin/retortd --nonsense'
expect "a wrong command line fails" eval '! systemctl restart retortd.service'
equal "because of the usage" "exit-code 2" \
  "$(property retortd.service Result) $(property retortd.service ExecMainStatus)"
equal "and is not tried again" 0 "$(property retortd.service NRestarts)"
