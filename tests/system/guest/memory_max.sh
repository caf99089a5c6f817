#!/bin/bash
# MemoryMax=64M, and clients that send the largest frames: they are rejected or served, and others are served meanwhile.
. "$(dirname "$0")/lib.sh"
drop_in retortd.service Service MemoryMax=64M MemorySwapMax=0
load request 8083 hello >/dev/null
pid=$(pid)
limit=$(cat /sys/fs/cgroup/{,memory/}system.slice/retortd.service/memory.{max,limit_in_bytes} 2>/dev/null || true)
equal "the limit is in force" 67108864 "$limit"
check=$(systemd-run --quiet --wait --pipe --property=MemoryMax=64M /usr/sbin/retortd --check)
for default in max-buffered=16777216 max-connections=448; do
  expect "the default --$default follows from it" \
    grep -qxE "# default --$default follows from the memory limit of the control group \(67108864 bytes\)" <<<"$check"
done

# meanwhile COUNTxLENGTH: COUNT clients send large messages at the same time, and small requests are served meanwhile.
meanwhile() {
  load large 8083 "$1" >/root/large &
  local clients=$!
  while kill -0 $clients 2>/dev/null; do
    [ "$(load request 8083 hello)" = HELLO ] || fail "a small client is not served beside $1"
  done
  wait $clients || fail "the clients with $1 failed"
  echo "note: $1 bytes: $(cat /root/large)"
}

meanwhile 4x134217727
expect "each of the largest messages was refused or served" grep -qxE '4 (error|served)|[1-3] error, [1-3] served' /root/large
meanwhile 40x2000000
equal "messages that fit are served, one after another" "40 served" "$(cat /root/large)"
equal "it is the same process" "$pid" "$(pid)"
echo "note: VmHWM $(awk '/VmHWM/ { print $2, $3 }' "/proc/$pid/status")"
