#!/bin/bash
# Checks every shell script with shellcheck(1), and that tests are skipped only by tests/skip and
# tests/daemon/harness/skip.rs, which notify .ci/run.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v shellcheck >/dev/null || exec tests/skip scripts.sh "shellcheck is not installed"

mapfile -t scripts < <(grep -rlE --exclude-dir={target,vendor,.git} -m1 '^#!/bin/(ba)?sh' . | grep -v '/debian/p')
shellcheck --external-sources --source-path=SCRIPTDIR "${scripts[@]}"

skips=$(grep -rnE 'echo .*skipped: |println!\(.*skipped: ' tests fuzz/run .ci Makefile | grep -vE '^tests/(skip|scripts.sh|daemon/harness/skip.rs):') || true
[ -z "$skips" ] || { printf 'scripts.sh: skipped without a note:\n%s\n' "$skips" >&2; exit 1; }
echo "scripts.sh: ${#scripts[@]} scripts"
