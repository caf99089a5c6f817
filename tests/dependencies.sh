#!/bin/bash
# Checks licences, sources, duplicates and bans of dependencies against deny.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-deny >/dev/null || exec tests/skip dependencies.sh "cargo-deny is not installed"

# Crates for other platforms, which no build here has fetched, are checked, too.
cargo fetch --locked --quiet
cargo deny --offline --locked check bans licenses sources
