#!/bin/bash
# The privileges of the running process (proc(5)): a dynamic user, no capabilities, a seccomp filter, no network.
. "$(dirname "$0")/lib.sh"
start=$(now)
load request 8083 hello >/dev/null
pid=$(pid)
field() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/status"; }
apart() { [ "$(readlink "/proc/$pid/ns/$1")" != "$(readlink "/proc/1/ns/$1")" ]; }

user=$(field Uid)
expect "the user is a dynamic one ($user)" test "$user" -ge 61184 -a "$user" -le 65519
for set in CapInh CapPrm CapEff CapBnd CapAmb; do
  equal "$set is empty" 0000000000000000 "$(field $set)"
done
equal "no new privileges" 1 "$(field NoNewPrivs)"
equal "a seccomp filter is in force" 2 "$(field Seccomp)"
for namespace in net user ipc mnt; do
  expect "its $namespace namespace is its own" apart $namespace
done
interfaces=$(awk -F: 'NR > 2 { print $1 }' "/proc/$pid/net/dev" | tr -d ' ')
equal "it sees no network interface but its own loopback" lo "$interfaces"
expect "its root file system is read-only" grep -qE ' / / ro[, ]' "/proc/$pid/mountinfo"
expect "open files are limited" grep -qE 'Max open files +(20000|65536)' "/proc/$pid/limits"
equal "a request gets its reply" HELLO "$(load request 8083 hello)"
equal "the sandbox forbade nothing that it does" "" "$(logged "$start" | grep -iE 'not permitted|denied|cannot' || true)"
