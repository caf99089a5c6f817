#!/bin/bash
# Ten restarts under load: no connection is rejected, no reply is lost, and the socket stays active.
. "$(dirname "$0")/lib.sh"
since=$(property retortd.socket ActiveEnterTimestampMonotonic)
begin_load visits 8083 8
soon 5 is retortd.service ActiveState active || fail "the load started no service"
for _ in {1..10}; do
  pid=$(pid)
  systemctl restart retortd.service
  [ "$(pid)" != "$pid" ] || fail "a restart left the same process"
done
# While clients connect, a stop is followed by a start, which may also cancel it.
for _ in {1..20}; do systemctl stop retortd.service 2>/dev/null || true; done
end_load

begin_load stays 8083 8
for _ in {1..3}; do systemctl restart retortd.service; done
end_load
equal "the socket was left alone" "$since" "$(property retortd.socket ActiveEnterTimestampMonotonic)"
equal "the service runs" active "$(systemctl is-active retortd.service)"
