#!/bin/bash
# SIGKILL at the system calls of a hand-over, in the process that hands over and in the one that takes over, injected by
# strace. Connections may end, but no byte is wrong, and the service returns.
. "$(dirname "$0")/lib.sh"
command -v strace >/dev/null || skip "strace is not installed"
open_every_listener
echo RETORTD_DRAIN_TIMEOUT=1s >>"$settings" # for a process that hands nothing over
# The service waits for the test before retortd is executed, if the file exists.
drop_in retortd.service Service ExecStart= \
  "ExecStart=/bin/sh -c 'test ! -e /run/wait || kill -STOP \$\$\$\$; exec /usr/sbin/retortd --settings=-/etc/default/retortd'"

# Traces a process (all its threads with -f), and kills it at the next step. The file has a line for each system call:
# its name, the number of times that it was made before, and how many of these are left out between two steps.
begin_trace() { # PID [-f]
  local call times stride
  read -r call times stride </root/calls
  sed -i "1s/.*/$call $((times + stride)) $stride/" /root/calls
  strace -qq -o /root/trace -e trace="$call" -e inject="$call:signal=KILL:when=$((times + 1))" -p "$@" 2>/root/strace &
  tracer=$!
  soon 5 is_traced "$1"
}
is_traced() { [ ! -e "/proc/$1" ] || grep -q '^TracerPid:.[1-9]' "/proc/$1/status"; }
# Notes at which system call the process was killed. If it was not, the next step is about the next system call.
end_trace() {
  local call
  read -r call _ </root/calls
  if [ "$(pid)" = "$1" ]; then kill "$tracer"; fi
  wait "$tracer" || true
  if grep -q 'killed by SIGKILL' /root/trace; then
    echo "$call" >>/root/killed
  else
    sed -i 1d /root/calls
    [ -s /root/calls ] || touch /root/through
  fi
}
# The service runs, and what was stored is taken over or discarded.
returned() { is retortd.service ActiveState active && [ "$(stored)" = 0 ]; }

kill_predecessor() {
  local predecessor
  predecessor=$(pid)
  begin_trace "$predecessor"
  systemctl restart retortd.service
  soon 20 returned
  end_trace "$predecessor"
}
waits() { grep -q '^State:.T' "/proc/$(pid)/status"; }
kill_successor() { # [-f]
  local successor
  touch /run/wait
  systemctl restart --no-block retortd.service
  soon 10 waits
  rm /run/wait
  successor=$(pid)
  begin_trace "$successor" "$@"
  kill -CONT "$successor"
  soon 20 returned
  end_trace "$successor"
}

# kill_at WHAT CALLS ROUNDS FUNCTION...: CALLS are the system calls, with /N if only each N-th is tried.
kill_at() {
  local what=$1 calls=$2 rounds=$3
  shift 3
  echo "# $what"
  rm -f /root/through /root/killed
  tr ' ' '\n' <<<"$calls" | sed -E 's,/, 0 ,; t; s,$, 0 1,' >/root/calls
  established --may-end --idle 20 --each 1 --busy 2 --unread 1 --rounds "$rounds" --until /root/through -- "$@"
  echo "note: killed at $(uniq -c /root/killed | awk '{ printf "%s %d times, ", $2, $1 }')"
}
all=500 # more than there are
kill_at "The predecessor" "clone wait4 socketpair memfd_create sendmsg write/8 fcntl exit_group" $all kill_predecessor
expect "every call was reached" test -e /root/through
kill_at "The successor" "execve recvmsg read/12 clone epoll_create1 write" $all kill_successor
expect "every call was reached" test -e /root/through
kill_at "The workers of the successor" epoll_ctl/6 5 kill_successor -f

established --idle 20 -- systemctl restart retortd.service
