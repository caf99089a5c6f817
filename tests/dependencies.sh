#!/bin/bash
# Licences, sources, duplicates and banned crates among the dependencies are as deny.toml wants them.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-deny >/dev/null || exec tests/skip dependencies.sh "cargo-deny is not installed"

# Crates of other platforms, which no build here has fetched, are judged too.
cargo fetch --locked --quiet
cargo deny --offline --locked check bans licenses sources
