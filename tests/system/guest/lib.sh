# shellcheck shell=bash
# Functions for the tests in a guest, which run as root on a booted systemd with the package installed.
set -euo pipefail
guest=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
settings=/etc/default/retortd
load() { python3 "$guest/load.py" "$@"; }

fail() {
  echo "FAILED: $*"
  systemctl --no-pager --full status 'retortd*' 2>&1 | head -n 60
  exit 1
}

# Ends the test as skipped, with the reason; the runner counts it separately.
skip() { echo "$*"; exit 77; }

# expect WHAT COMMAND...: the command must succeed.
expect() {
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "ok: $what"; else fail "$what ($*)"; fi
}

# equal WHAT EXPECTED ACTUAL
equal() {
  if [ "$2" = "$3" ]; then echo "ok: $1"; else fail "$1: expected '$2', is '$3'"; fi
}

# soon SECONDS COMMAND...: the command must succeed within this time; it is retried.
soon() {
  local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "${EPOCHREALTIME/./}" -lt $end ] || return 1
    sleep 0.05
  done
}

property() { systemctl show --value --property="$2" "$1"; }
pid() { property retortd.service MainPID; }
is() { [ "$(property "$1" "$2")" = "$3" ]; }
# The journal of the service since a time: all lines, or those that match.
now() { echo "@$EPOCHREALTIME"; }
logged() { # SINCE [OPTION]...
  local since=$1
  shift
  journalctl --sync
  journalctl --quiet --unit=retortd.service --since="$since" --output=cat "$@"
}
says() { logged "$1" | grep -E -- "$2" >/dev/null; } # not -q: journalctl would fail if it could not write its last line

# Adds lines to a unit: drop_in UNIT SECTION LINE...
drop_in() {
  local directory=/run/systemd/system/$1.d section=$2
  mkdir -p "$directory"
  shift 2
  printf '%s\n' "[$section]" "$@" >"$directory/${section,,}.conf"
  systemctl daemon-reload
}

# edit_by "systemctl edit UNIT": writes /root/drop-in into the drop-in of a unit. The command requires a terminal, and an
# editor, which gets a drop-in to fill between two comments; systemd 257 puts a line number (+4) in front of the file.
edit_by() {
  { echo '#!/bin/sh' && cat; } >/root/editor <<'SH'
for file; do :; done
awk '/^### Anything between/ { print; system("cat /root/drop-in"); skip = 1; next }
  /^### / { skip = 0 } !skip' "$file" >/root/edited && cat /root/edited >"$file"
SH
  chmod +x /root/editor
  script --quiet --return --command "SYSTEMD_EDITOR=/root/editor $1" /dev/null
}

# Starts a load in the background; end_load ends it and checks its result.
begin_load() {
  local pipe
  pipe=$(mktemp -u)
  mkfifo "$pipe"
  load "$1" "$2" "$3" <"$pipe" >"$pipe.out" 2>&1 &
  load_pid=$! load_out=$pipe.out
  exec {load_fd}>"$pipe"
}
end_load() {
  local status=0
  exec {load_fd}>&-
  wait "$load_pid" || status=$?
  sed 's/^/note: under load: /' "$load_out"
  [ $status = 0 ] || fail "the load met failures"
}

# Opens the listeners that established.py needs, one of them for PROXY headers, and allows the test as many descriptors
# as the service has.
open_every_listener() {
  cat >/etc/systemd/system/retortd-balancer.socket <<'UNIT'
[Socket]
FileDescriptorName=frame,proxy
Service=retortd.service
ListenStream=127.0.0.1:9083
UNIT
  printf 'RETORTD_PROXY_FROM=127.0.0.0/8\nRETORTD_PROXY_TIMEOUT=1m\n' >>"$settings"
  systemctl daemon-reload
  systemctl stop --quiet retortd.service
  systemctl start retortd-{frame-2021,text,echo,echo-prefix,ack,respond,upper,upper-line,length-prefix,record,discard,chargen}.socket \
    retortd-balancer.socket
  ulimit -n "$(ulimit -H -n)"
}
# established ARGUMENT... -- COMMAND...: connections, of which the command may change nothing (established.py). COMMAND may
# be a function.
established() {
  local status=0 arguments=()
  while [ "$1" != -- ]; do arguments+=("$1"); shift; done
  shift
  export guest settings
  # shellcheck disable=SC2046  # the names of all functions
  export -f $(compgen -A function)
  python3 "$guest/established.py" "${arguments[@]}" -- bash -euo pipefail -c '"$@"' - "$@" >/root/established || status=$?
  sed 's/^/note: /' /root/established
  [ $status = 0 ] || fail "connections that were kept over: $*"
}
# Sends SIGUSR2 to the service, and waits for the next process.
hand_over_by_signal() {
  local before
  before=$(pid)
  systemctl kill -s USR2 --kill-who=main retortd
  soon 10 runs_another "$before"
}
# runs_another PID: the service is active, as another process.
runs_another() { is retortd.service ActiveState active && [ "$(pid)" != "$1" ]; }
stored() { property retortd.service NFileDescriptorStore; }
