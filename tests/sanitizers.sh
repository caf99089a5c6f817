#!/bin/sh
# Runs tests under a checker of the nightly compiler: `tests/sanitizers.sh miri`, `tsan` or `asan`.
# Installs nothing; if a tool is missing, it names the tool and skips.
set -eu
cd "$(dirname "$0")/.."

checker=${1:-}
skip() {
    exec tests/skip "$checker" "$1"
}

# run_tests "PATTERN..." ARGUMENT...: runs `cargo +nightly ARGUMENT...`, which must have a `--`, without the tests whose
# names contain one of the patterns. A pattern that matches no test is an error: a renamed test would run unnoticed.
run_tests() {
    patterns=$1
    shift
    tests=$(cargo +nightly "$@" --list) || return
    for pattern in $patterns; do
        if ! printf '%s\n' "$tests" | grep -e "$pattern.*: test$" >/dev/null; then
            echo "sanitizers.sh: no test matches $pattern" >&2
            return 1
        fi
        set -- "$@" --skip "$pattern"
    done
    cargo +nightly "$@"
}

cargo +nightly --version >/dev/null 2>&1 || skip "there is no nightly toolchain (rustup toolchain install nightly)"
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
source=$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/$checker"
# the memory of a checker exceeds every limit of the tests
export RETORTD_TEST_ANY_MEMORY=1

case $checker in
miri)
    # Pure code: no sockets, no processes. Few cases of each property: Miri is a thousand times slower than the machine.
    cargo +nightly miri --version >/dev/null 2>&1 || skip "there is no Miri (rustup +nightly component add miri rust-src)"
    export MIRIFLAGS="-Zmiri-disable-isolation" PROPTEST_CASES="${PROPTEST_CASES:-2}"
    slow="every_day_of_400_years long_work_is_offloaded a_backlog_of_preprocessing preprocessing_one_by_one
        examples_hold_however_the_input_is_split daemon::config::files"
    run_tests "$slow" miri test --lib -- connection:: protocol:: server::timers server::stats daemon::config
    ;;
tsan)
    # Tests that move many bytes in a given time are left out: everything is ten times slower.
    # The standard library is built too: its locks must be seen, or every use of them looks like a race.
    [ -d "$source" ] || skip "there is no source of the standard library (rustup +nightly component add rust-src)"
    export RUSTFLAGS="-Zsanitizer=thread" TSAN_OPTIONS="halt_on_error=1"
    slow="frame::longest_message frame::unknown_action_of_100_megabytes frame::seed_makes_replies
        frame::offloaded_requests_of_many limits::large_requests faults::accept:: faults::network:: faults::log::
        faults::peers::greedy_clients faults::peers::offload_threads"
    status=0
    run_tests "" test -Zbuild-std --target "$host" --lib -- --test-threads=2 || status=1
    run_tests "$slow" test -Zbuild-std --target "$host" --test daemon -- lifecycle:: frame:: limits:: faults:: \
        --test-threads=2 || status=1
    exit $status
    ;;
asan)
    # Leaks are not looked for in tests that run the daemon under strace, which needs ptrace(2) as leak detection does.
    export RUSTFLAGS="-Zsanitizer=address"
    slow="frame::longest_message frame::unknown_action_of_100_megabytes"
    status=0
    run_tests "$slow faults::accept:: faults::life:: faults::system_calls:: faults::network::" \
        test --target "$host" --no-fail-fast --lib --bins --tests -- --test-threads=2 || status=1
    ASAN_OPTIONS=detect_leaks=0 run_tests "faults::network::" test --target "$host" --test daemon -- faults:: \
        --test-threads=1 || status=1
    exit $status
    ;;
*)
    echo "usage: tests/sanitizers.sh miri|tsan|asan" >&2
    exit 2
    ;;
esac
