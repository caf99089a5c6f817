#!/bin/bash
# SIGKILL at each system call of a hand-over, in the process that hands over and in the one that takes over, injected by
# strace. Connections may end, but no byte is wrong, and the service returns.
#
# Every STRIDE-th system call (RETORTD_TEST_STRIDE, default below); the traces of all are the same but for the number.
. "$(dirname "$0")/lib.sh"
command -v strace >/dev/null || skip "strace is not installed"
open_every_listener
echo RETORTD_DRAIN_TIMEOUT=1s >>"$settings" # for a process that hands nothing over
stride=${RETORTD_TEST_STRIDE:-1}
killed=/root/killed # the system calls at which a process was killed
export stride killed

# The service waits for the test before retortd is executed, if the file exists.
drop_in retortd.service Service ExecStart= \
  "ExecStart=/bin/sh -c 'test ! -e /run/wait || kill -STOP \$\$\$\$; exec /usr/sbin/retortd --settings=-/etc/default/retortd'"

next_step() { echo $(($(cat /root/step) + stride)) >/root/step; }
traced() { grep -q '^TracerPid:.[1-9]' "/proc/$1/status"; }
# Traces the main thread of a process, and kills the process at the system call of this step.
kill_at_step() { # PID CALLS
  strace -qq -o /root/trace -e signal=none -e trace="$2" -e inject="$2:signal=KILL:when=$(cat /root/step)" -p "$1" &
  tracer=$!
  soon 5 traced "$1"
}
# Notes at which system call the process was killed; or that it has gone through all of them.
note_end() {
  wait "$tracer" || true
  if grep -q 'killed by SIGKILL' /root/trace; then
    tail -n 2 /root/trace | sed -n '1s/(.*//p' >>"$killed"
  else
    touch /root/through
  fi
}

kill_predecessor() {
  local before
  before=$(pid)
  kill_at_step "$before" all
  systemctl restart retortd.service
  note_end
  runs_another "$before"
  next_step
}

waits() { grep -q '^State:.T' "/proc/$(pid)/status"; }
kill_successor() {
  local before
  touch /run/wait
  systemctl restart --no-block retortd.service
  soon 10 waits
  rm /run/wait
  before=$(pid)
  kill_at_step "$before" all
  kill -CONT "$before"
  soon 20 is retortd.service ActiveState active
  if [ "$(pid)" = "$before" ]; then kill "$tracer"; fi
  note_end
  next_step
}

for process in predecessor successor; do
  echo "# The $process"
  rm -f /root/through "$killed"
  echo 1 >/root/step
  established --may-end --idle 300 --busy 2 --rounds 1000 --until /root/through -- "kill_$process"
  expect "it was killed" test -s "$killed"
  echo "note: $(uniq -c "$killed" | awk '{ printf "%s %d, ", $2, $1 }')"
done
established -- systemctl restart retortd.service
