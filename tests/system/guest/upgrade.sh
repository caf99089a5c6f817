#!/bin/bash
# An upgrade under load: the service is a new process of the new version; no connection is rejected, no reply is lost, and
# every open connection is kept.
. "$(dirname "$0")/lib.sh"
packages=("${RETORTD_TEST_PACKAGES:-/nonexistent}"/retortd_*.deb)
[ -f "${packages[0]}" ] || skip "no package to upgrade to: set RETORTD_TEST_PACKAGES to the directory of the .deb"

# The next version is this one with a higher number.
dpkg-deb --raw-extract "${packages[0]}" /root/next
sed -i 's/^Version: .*/&+next/' /root/next/DEBIAN/control
dpkg-deb --build -Znone /root/next /root/next.deb >/dev/null

open_every_listener
since=$(property retortd.socket ActiveEnterTimestampMonotonic)
begin_load visits 8083 4
soon 5 is retortd.service ActiveState active || fail "the load started no service"
pid=$(pid)
established --idle 10000 --busy 2 -- dpkg --install /root/next.deb
expect "the upgrade restarted the service" test "$(pid)" != "$pid"
end_load
dpkg --install "${packages[0]}" >/dev/null 2>&1
equal "the socket was left alone" "$since" "$(property retortd.socket ActiveEnterTimestampMonotonic)"
equal "the other sockets are still disabled" disabled "$(systemctl is-enabled retortd-echo.socket || true)"

systemctl stop retortd.service
dpkg --install /root/next.deb >/dev/null
equal "an upgrade does not start a service that is not running" inactive "$(systemctl is-active retortd.service || true)"
equal "it replies" HELLO "$(load request 8083 hello)"
