#!/bin/bash
# Wrong settings: systemctl status says what is wrong, there is no endless loop of attempts, and mending them helps.
. "$(dirname "$0")/lib.sh"
cp "$settings" /root/settings
starts() { logged "$start" | grep -c '^Start\(ing\|ed\) ' || true; }

echo RETORTD_WORKERS=nonsense >>"$settings"
start=$(now)
expect "starting by hand fails" eval '! systemctl start retortd.service'
equal "because of the configuration" "exit-code 78" \
  "$(property retortd.service Result) $(property retortd.service ExecMainStatus)"
expect "systemctl status says what is wrong" \
  grep -q 'RETORTD_WORKERS.*nonsense' <(systemctl --no-pager --full status retortd.service)
equal "systemd did not try again" 0 "$(property retortd.service NRestarts)"

# A client that waits makes the socket start the service; that must end.
start=$(now)
(exec 9<>/dev/tcp/127.0.0.1/8083 && cat <&9) >/dev/null 2>&1 &
expect "with a client waiting, the attempts come to an end" soon 20 is retortd.socket ActiveState failed
attempts=$(logged "$start" | grep -c 'RETORTD_WORKERS' || true)
echo "note: $attempts attempts"
expect "after a few ($attempts)" test "$attempts" -ge 1 -a "$attempts" -le 11
equal "the socket says why" trigger-limit-hit "$(property retortd.socket Result)"

cp /root/settings "$settings"
# The limit counts over five seconds, whatever happens to the socket: a person who mends settings takes longer.
mended() { systemctl restart retortd.socket && [ "$(load ask 8083 hello)" = HELLO ]; }
expect "mended, it starts and answers" soon 20 mended

# An option that does not exist is no reason to try again either.
drop_in retortd.service Service ExecStart= 'ExecStart=/usr/sbin/retortd --nonsense'
expect "a wrong command line fails" eval '! systemctl restart retortd.service'
equal "because of the usage" "exit-code 2" \
  "$(property retortd.service Result) $(property retortd.service ExecMainStatus)"
equal "and is not tried again" 0 "$(property retortd.service NRestarts)"
