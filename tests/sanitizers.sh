#!/bin/sh
# Runs tests under a checker of the nightly compiler: `tests/sanitizers.sh miri`, `tsan` or `asan`.
# Installs nothing; says what is missing and skips.
set -eu
cd "$(dirname "$0")/.."

checker=${1:-}
skip() {
    exec tests/skip "$checker" "$1"
}

cargo +nightly --version >/dev/null 2>&1 || skip "there is no nightly toolchain (rustup toolchain install nightly)"
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
source=$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/$checker"
# a checker's own memory is larger than anything that tests allow
export RETORTD_TEST_ANY_MEMORY=1

case $checker in
miri)
    # Pure code: no sockets, no processes. Few cases of each property: Miri is a thousand times slower than the machine.
    cargo +nightly miri --version >/dev/null 2>&1 || skip "there is no Miri (rustup +nightly component add miri rust-src)"
    export MIRIFLAGS="-Zmiri-disable-isolation" PROPTEST_CASES="${PROPTEST_CASES:-2}"
    cargo +nightly miri test --lib -- connection:: protocol:: server::timers server::stats \
        daemon::config --skip daemon::config::files --skip every_day_of_400_years --skip long_work_leaves \
        --skip what_preparing_was_kept \
        --skip a_message_that_is_converted_one_by_one \
        --skip every_table_however_it_is_cut
    ;;
tsan)
    # What moves very much in a given time is left out: all is ten times slower.
    # The standard library is built too: its locks must be seen, or every use of them looks like a race.
    [ -d "$source" ] || skip "there is no source of the standard library (rustup +nightly component add rust-src)"
    export RUSTFLAGS="-Zsanitizer=thread" TSAN_OPTIONS="halt_on_error=1"
    cargo +nightly test -Zbuild-std --target "$host" --no-fail-fast --lib --test lifecycle --test frame --test limits \
        --test faults -- --test-threads=2 --skip the_longest_message_takes --skip without_memory_for_it \
        --skip accept:: --skip network:: --skip log:: --skip large_requests_are_all --skip greedy_clients \
        --skip threads_for_large_messages --skip a_seed_makes_answers --skip large_work_of_many
    ;;
asan)
    # Leaks are not looked for in what runs under strace, which uses the same means (ptrace(2)).
    export RUSTFLAGS="-Zsanitizer=address"
    cargo +nightly test --target "$host" --no-fail-fast --lib --bins --tests -- --test-threads=2 \
        --skip the_longest_message_takes --skip without_memory_for_it --skip accept:: --skip life:: \
        --skip system_calls:: --skip network::
    ASAN_OPTIONS=detect_leaks=0 cargo +nightly test --target "$host" --test faults -- --test-threads=1 --skip network::
    ;;
*)
    echo "usage: tests/sanitizers.sh miri|tsan|asan" >&2
    exit 2
    ;;
esac
