#!/bin/sh
# Runs every fuzzing target for SECONDS_EACH seconds (20 unless set) on one processor; `tests/fuzz.sh frame` only that one.
# What is found lands in fuzz/artifacts; what is learnt in fuzz/target/corpus, so that the committed corpus stays small.
set -eu
cd "$(dirname "$0")/.."

seconds=${SECONDS_EACH:-20}
targets=${*:-protocols splits frame text}

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzz: skipped: there is no nightly toolchain (rustup toolchain install nightly)"
    exit 0
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "fuzz: skipped: there is no cargo-fuzz (cargo install cargo-fuzz)"
    exit 0
fi

cargo +nightly fuzz build
for target in $targets; do
    learnt=fuzz/target/corpus/$target
    mkdir -p "$learnt"
    echo "fuzz: $target for $seconds s"
    log=$(mktemp)
    if cargo +nightly fuzz run "$target" "$learnt" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then
        grep -E 'number_of_executed_units|average_exec_per_sec|peak_rss_mb|new_units_added' "$log"
        grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" | tail -n 1
        rm -f "$log"
    else
        cat "$log"
        rm -f "$log"
        exit 1
    fi
done
