#!/bin/bash
# PROXY headers on the sockets of units. The option is in FileDescriptorName=, and with Accept=yes in the settings. Access
# lists are only in the settings, so that a name which systemd does not accept never widens access.
. "$(dirname "$0")/lib.sh"

# request [ADDRESS]: announces this client and sends a request; prints the text of the reply, nothing if there is none.
request() {
  exec 7<>/dev/tcp/127.0.0.1/8083
  { [ $# = 0 ] || printf 'PROXY TCP4 %s 192.0.2.1 5000 8083\r\n' "$1"; printf '\x08\0\0\2hi'; } >&7
  timeout 10 head -c 6 <&7 2>/dev/null | tail -c +5 || true
  exec 7>&-
}
# name NAME: gives the socket this name; the service has to be stopped.
name() {
  drop_in retortd.socket Socket "FileDescriptorName=$1"
  systemctl restart retortd.socket
}

printf 'RETORTD_VERBOSE=1\nRETORTD_ALLOW=192.0.2.0/24\n' >>"$settings"
cp "$settings" /root/settings
name frame,proxy
expect "a socket for all addresses needs a list of balancers" eval '! systemctl start retortd.service'
equal "because of the configuration" "exit-code 78" \
  "$(property retortd.service Result) $(property retortd.service ExecMainStatus)"

echo RETORTD_PROXY_FROM=127.0.0.0/8 >>"$settings"
start=$(now)
equal "an announced client is served" HI "$(request 192.0.2.10)"
expect "the log has its address" soon 5 says "$start" 'frame 192\.0\.2\.10:5000 via \S*127\.0\.0\.1:'
equal "an announced client outside of the allowed network is not" "" "$(request 198.51.100.1)"
expect "the log has the reason" soon 5 says "$start" '198\.51\.100\.1.*denied'
equal "a client without a header is not served" "" "$(request)"
expect "the log has the reason" soon 5 says "$start" 'proxy-header'
systemctl stop retortd.service

# Fault 49: systemd ignores both names, and uses the one in the unit: `frame` without options.
for bad in frame,proxy:allow "frame,$(printf 'x%.0s' {1..260})"; do
  name "$bad"
  start=$(now)
  equal "with an invalid name nobody outside of the allowed network is served" "" "$(request)"
  equal "nor one whose header announces an allowed address" "" "$(request 192.0.2.10)"
  denied() { [ "$(logged "$start" | grep -c 'closed: denied')" = 2 ]; }
  expect "the log has the reason for both" soon 5 denied
  systemctl stop retortd.service
done

name frame,allow=127.0.0.0/8
expect "a name with an access list is an error" eval '! systemctl start retortd.service'
equal "because of the configuration" "exit-code 78" \
  "$(property retortd.service Result) $(property retortd.service ExecMainStatus)"

# A list for a name does not apply to a socket that has lost the name: RETORTD_ALLOW does.
cp "$settings" /root/proxy-settings
echo RETORTD_LISTENER_OPTIONS=echo,allow=127.0.0.0/8 >>"$settings"
name echo
equal "the list for the name replaces that for all" hi "$(request)"
systemctl stop retortd.service
name echo:x
start=$(now)
equal "without the name the list for all holds" "" "$(request)"
expect "the service serves the name of the unit" soon 5 says "$start" 'listening on frame='
expect "the log has the reason" soon 5 says "$start" 'frame \S*127\.0\.0\.1:.*closed: denied'
systemctl stop retortd.service
cp /root/proxy-settings "$settings"

# systemd 252 calls every accepted connection `connection`, so that the option is a setting.
systemctl disable --quiet --now retortd.socket
systemctl stop retortd.service
echo RETORTD_CONNECTION=frame,proxy >>"$settings"
systemctl start retortd-inetd.socket
inetd_says() { journalctl --sync; journalctl --quiet --since="$start" --output=cat --unit='retortd-inetd@*' | grep -qE "$1"; }
start=$(now)
equal "a process for one announced client serves it" HI "$(request 192.0.2.10)"
expect "the log has its address" soon 5 inetd_says 'frame 192\.0\.2\.10:5000 via \S*127\.0\.0\.1:'
equal "an announced client outside of the allowed network is not served" "" "$(request 198.51.100.1)"
expect "the log has the reason" soon 5 inetd_says '198\.51\.100\.1.*denied'
equal "nor a client without a header" "" "$(request)"
