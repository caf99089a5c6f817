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
says() { logged "$1" | grep -qE -- "$2"; }

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
