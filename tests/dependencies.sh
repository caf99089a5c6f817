#!/bin/bash
# Licences, sources, duplicates and banned crates among the dependencies are as deny.toml wants them.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-deny >/dev/null || { echo "dependencies.sh: skipped: cargo-deny is not installed"; exit 0; }

cargo deny --offline check bans licenses sources
