#!/bin/bash
# Every shell script of the project is free of complaints from shellcheck(1).
set -euo pipefail
cd "$(dirname "$0")/.."
command -v shellcheck >/dev/null || { echo "scripts.sh: skipped: shellcheck is not installed"; exit 0; }

mapfile -t scripts < <(grep -rlE --exclude-dir={target,vendor,.git} -m1 '^#!/bin/(ba)?sh' . | grep -v '/debian/p')
shellcheck --external-sources --source-path=SCRIPTDIR "${scripts[@]}"
echo "scripts.sh: ${#scripts[@]} scripts"
