"""What impaired listeners do, measured by clients against what their options promise.

    python3 benches/impairments [--program P] [--seconds S] [--only TEXT]

Takes target/release/retortd (`cargo build --release`). Each line is a daemon of its own on the loopback interface.
A time may deviate by 10 %, a rate by 5 % over S seconds; the exit status is 1 beyond that. A latency is the median of
requests one after the other; with jitter, the mean, and the range without the shortest and the longest 1 %. The last
table has no promise in numbers: how long small requests take beside a connection that gets its reply in single bytes.
Requires Python 3.
"""

import argparse
import os
import signal
import statistics
import sys
from pathlib import Path

from clients import (SMALL, Daemon, both_ways, close_after, download, first_byte, frame, latencies,
                     one_after_the_other, percentiles, pieces, read_in_background, segments, upload)

PROGRAM = Path(__file__).resolve().parents[2] / "target/release/retortd"

TIME_DEVIATION, RATE_DEVIATION = 0.10, 0.05
# A chosen allowance for what the client and the kernel add to every time, in milliseconds.
ALLOWANCE = 0.5


class Table:
    """The lines of the result, and whether one deviates by more than it may."""

    def __init__(self, options):
        self.options, self.failed = options, False
        self.form = "{:34} {:18} {:>16} {:>24} {:>10}"
        print(self.form.format("listener", "what", "promised", "measured", "deviation"))

    def wants(self, text):
        return self.options.only in text

    def daemon(self, listener):
        return Daemon(self.options.program, listener)

    def add(self, listener, what, promised, measured, deviation, most):
        """A line; `most` is the largest deviation that is right."""
        wrong = abs(deviation) > most
        self.failed |= wrong
        mark = "  <-- beyond" if wrong else ""
        print(self.form.format(listener, what, promised, measured, f"{deviation:+.1%}") + mark, flush=True)

    def time(self, listener, what, promised, measured):
        over = measured - promised
        deviation = (over - min(max(over, 0), ALLOWANCE)) / promised
        self.add(listener, what, f"{promised} ms", f"{measured:.2f} ms", deviation, TIME_DEVIATION)

    def rate(self, listener, what, promised, measured):
        words = f"{promised / 1e3:g} kB/s", f"{measured / 1e3:.1f} kB/s"
        self.add(listener, what, *words, measured / promised - 1, RATE_DEVIATION)


def measure_latency(table):
    for protocol in SMALL:
        for promised, number in ((10, 100), (100, 20), (500, 5)):
            listener = f"{protocol},latency={promised}ms"
            if table.wants(listener):
                with table.daemon(listener) as daemon:
                    measured = statistics.median(latencies(daemon, protocol, number))
                table.time(listener, "request to reply", promised, measured)
    if table.wants(listener := "chargen,latency=100ms"):
        with table.daemon(listener) as daemon:
            table.time(listener, "first byte", 100, statistics.median(first_byte(daemon) for _ in range(9)))


def measure_jitter(table):
    for promised, jitter in ((10, 10), (100, 20)):
        listener = f"frame,latency={promised}ms,jitter={jitter}ms"
        if table.wants(listener):
            with table.daemon(listener) as daemon:
                measured = latencies(daemon, "frame", 400 if promised == 10 else 100)
            table.time(listener, "mean", promised, statistics.fmean(measured))
            low, high = promised - jitter, promised + jitter
            # the first and the last percentile: one in a hundred may have waited for the processor
            shortest, *_, longest = statistics.quantiles(measured, n=100)
            beyond = max(low - shortest, longest - high - ALLOWANCE, 0) / promised
            words = f"{low} to {high} ms", f"{shortest:.1f} to {longest:.1f} ms"
            table.add(listener, "1 % to 99 %", *words, beyond, TIME_DEVIATION)


def measure_rate(table):
    directions = (("chargen", "sent", download), ("discard", "read", upload), ("echo", "both at once", both_ways),
                  ("frame", "read, then sent", one_after_the_other))
    for rate in (10_000, 100_000, 1_000_000, 10_000_000):
        for protocol, what, function in directions:
            listener = f"{protocol},rate={rate}"
            if table.wants(listener):
                with table.daemon(listener) as daemon:
                    table.rate(listener, what, rate, function(daemon, rate, table.options.seconds))


def measure_slices(table):
    for protocol, request in (("echo", bytes(2000)), ("frame", frame(bytes(1996)))):
        for size, gap in ((100, 10), (500, 100)):
            listener = f"{protocol},slice={size},slice-gap={gap}ms"
            if table.wants(listener):
                with table.daemon(listener) as daemon:
                    largest, gaps = pieces(daemon, request, 2000)
                table.add(listener, "largest piece", f"{size} B", f"{largest} B", largest / size - 1, 0)
                table.time(listener, "gap", gap, statistics.median(gaps))
                table.add(listener, "pieces", 2000 // size, len(gaps) + 1, (len(gaps) + 1) * size / 2000 - 1, 0)
        for size in (1, 100):
            if table.wants(listener := f"{protocol},slice={size}"):
                with table.daemon(listener) as daemon:
                    got = segments(daemon, request, 2000)
                # not judged: the kernel joins pieces in a segment while it waits for acknowledgements
                table.add(listener, "segments", f"up to {2000 // size}", f"{got}", got * size / 2000 - 1, 1)


def measure_close(table):
    if table.wants(listener := "daytime,slow-close=200ms"):
        with table.daemon(listener) as daemon:
            table.time(listener, "last byte to end", 200, statistics.median(close_after(daemon) for _ in range(5)))


def measure_neighbours(table):
    """Small requests on one worker, alone and beside a reply of 128 MiB in single bytes."""
    if not table.wants("frame,slice=1"):
        return
    print(f"\n{'small requests on the same worker':44} {'requests':>9} {'median':>10} {'99 %':>10} {'longest':>10}")
    for name, listener in (("alone", ""), ("beside 128 MiB in single bytes", "frame,slice=1")):
        words = ("--max-message=134217727", "--max-buffered=1G")
        with Daemon(table.options.program, "frame", *filter(None, [listener]), words=words) as daemon:
            reader = read_in_background(daemon, 1) if listener else None
            cells = percentiles(daemon, table.options.seconds)
            if reader:
                os.kill(reader, signal.SIGKILL)
                os.waitpid(reader, 0)
            print(f"{name:44} {cells[0]:9} " + " ".join(f"{cell:7.3f} ms" for cell in cells[1:]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--program", type=Path, default=PROGRAM, metavar="P", help="the daemon [target/release/retortd]")
    add("--seconds", type=float, default=2, metavar="S", help="how long each rate is measured [2]")
    add("--only", default="", metavar="TEXT", help="only listeners with TEXT in their options")
    table = Table(parser.parse_args())
    for measure in (measure_latency, measure_jitter, measure_rate, measure_slices, measure_close, measure_neighbours):
        measure(table)
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
