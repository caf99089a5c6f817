"""The daemon under load, beside other servers: measures, prints a table, and draws it.

    python3 benches/end_to_end [--quick] [--rounds N] [--seconds S] [--only NAME,...] [--peers NAME,...]
                               [--write[=DIRECTORY]]

Takes target/release/retortd and retort. Each server runs on the first processor and the load on the second; the servers
take turns, and medians count. Every round measures the daemon and what its bars compare it with; other servers take
part in every third. Prints the tables and the bars, and changes no file. --write also writes performance.json,
performance.svg, and the tables in performance.md between their two marks, into docs or DIRECTORY; with --only or
--peers, which measure a part, it requires another DIRECTORY.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import bars
import chart
import report
import servers
from clients import raise_descriptor_limit
from figures import FIGURES, Skipped
from scenarios import COMPARISONS


# Where the published figures are.
DOCS = Path(__file__).resolve().parents[2] / "docs"

# What every round measures. The others, which no bar is about, and figures take part in one of this number of rounds.
PAIRED, UNPAIRED_EVERY = {"retortd", "floor", "ascii"}, 3
# Rounds and seconds: of the bars, and with --quick.
THOROUGH, QUICK = (13, 0.4), (3, 0.2)


def main():
    options = command_line()
    for program in (servers.RETORTD, servers.RETORT):
        if not program.exists():
            raise SystemExit(f"{program} is missing: cargo build --release")
    raise_descriptor_limit()
    peers = [name for name in servers.available() if not options.peers or name in options.peers]
    results = {
        "version": version(),
        "machine": machine(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "missing": [peer.title for peer in servers.PEERS.values() if servers.missing(peer)],
        "comparisons": [compare(row, peers, options) for row in COMPARISONS if chosen(row.name, options)],
        "figures": dict(figures(options)),
    }
    results["bars"] = list(bars.judged(results))
    print(report.tables(results))
    if options.write:
        report.write(results, options.write)
        (options.write / "performance.svg").write_text(chart.document(results))


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted({row.name for row in COMPARISONS} | FIGURES.keys())
    add = parser.add_argument
    add("--quick", action="store_true", help="for a first impression: 3 rounds, 0.2 s each")
    add("--rounds", type=int, metavar="N", help="how often everything is measured [13]")
    add("--seconds", type=float, metavar="S", help="how long each measurement is [0.4]")
    add("--only", type=list_of(names), metavar="NAME,...", help=f"some of: {', '.join(names)}")
    add("--peers", type=list_of(servers.PEERS), metavar="NAME,...", help=f"some of: {', '.join(servers.PEERS)}")
    add("--write", nargs="?", const=DOCS, type=Path, metavar="DIRECTORY", help="write the files, too [docs]")
    options = parser.parse_args()
    rounds, seconds = QUICK if options.quick else THOROUGH
    options.rounds, options.seconds = options.rounds or rounds, options.seconds or seconds
    if options.write and options.write.resolve() == DOCS and (options.only or options.peers):
        parser.error("docs has figures of everything: with --only or --peers, write to another --write=DIRECTORY")
    return options


def list_of(names):
    def parse(text):
        if unknown := set(text.split(",")) - set(names):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return text.split(",")

    return parse


def chosen(name, options):
    return not options.only or name in options.only


def version():
    shown = subprocess.run([servers.RETORTD, "--version"], capture_output=True, text=True, check=True)
    return shown.stdout.strip()


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "busy": busy(),
    }


def busy():
    """The share of the processors' time that others take, in the second before the run: /proc/stat, proc(5)."""

    def idle_and_all():
        times = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return times[3] + times[4], sum(times[:8])

    idle, whole = idle_and_all()
    time.sleep(1)
    later_idle, later_whole = idle_and_all()
    return 1 - (later_idle - idle) / (later_whole - whole)


def compare(row, peers, options):
    """A sample of each contender in each round, None where it takes no part."""
    contenders = row.contenders(peers)
    samples = {contender: [None] * options.rounds for contender in contenders}
    longest = []
    for number in range(options.rounds):
        # pairs alternate: what disturbs the first of a round disturbs each of them as often
        for contender in contenders if number % 2 else reversed(contenders):
            if contender in PAIRED or number % UNPAIRED_EVERY == 0:
                progress(f"{row.name} {row.protocol}, round {number + 1}: {contender}")
                sample = row.measure(contender, options.seconds)
                samples[contender][number] = sample.value
                if contender == "retortd":
                    longest.append(sample.longest_ms)
    return {
        "group": row.group,
        "name": row.name,
        "protocol": row.protocol,
        "says": row.says,
        "unit": row.unit,
        "median": {contender: median(values) for contender, values in samples.items()},
        "samples": samples,
        "longest_ms": longest,
    }


def median(values):
    return statistics.median(value for value in values if value is not None)


def figures(options):
    for name, (measure, says, shown) in FIGURES.items():
        if not chosen(name, options):
            continue
        try:
            progress(name)
            samples = [measure(options.seconds) for _ in range(0, options.rounds, UNPAIRED_EVERY)]
        except Skipped as reason:
            progress(f"{name} skipped: {reason}")
            continue
        medians = {key: median([sample[key] for sample in samples]) for key in samples[0]}
        yield name, {"says": says, "shown": shown.format(**medians), "median": medians, "samples": samples}


def progress(text):
    """One line on a terminal, each over the last; lines of their own elsewhere."""
    print(f"\r\033[K{text}" if sys.stderr.isatty() else text, end="" if sys.stderr.isatty() else "\n", file=sys.stderr)


main()
