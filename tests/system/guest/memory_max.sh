#!/bin/bash
# MemoryMax=64M, and clients that send the largest frames: refused or served, but the service lives and serves others.
. "$(dirname "$0")/lib.sh"
drop_in retortd.service Service MemoryMax=64M MemorySwapMax=0
load ask 8083 hello >/dev/null
pid=$(pid)
limit=$(cat /sys/fs/cgroup/{,memory/}system.slice/retortd.service/memory.{max,limit_in_bytes} 2>/dev/null || true)
equal "the limit is in force" 67108864 "$limit"

load largest 8083 4 >/root/largest &
clients=$!
while kill -0 $clients 2>/dev/null; do
  [ "$(load ask 8083 hello)" = HELLO ] || fail "a small client is not served beside"
done
wait $clients || fail "the clients failed"
echo "note: 4 clients with 134217727 bytes each: $(cat /root/largest)"
expect "each was refused or served" grep -qxE '(error|served)( (error|served)){3}' /root/largest
equal "it is the same process" "$pid" "$(pid)"
echo "note: VmHWM $(awk '/VmHWM/ { print $2, $3 }' "/proc/$pid/status")"
