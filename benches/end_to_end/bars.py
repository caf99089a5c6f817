"""The bars: what must not be exceeded, and whether it is."""

import statistics
from typing import Callable, NamedTuple

from scenarios import COMPARISONS
from texts import TEXTS


class Bar(NamedTuple):
    """One bar; `values` finds the measured values, one for each round, in the results, or None."""

    says: str
    most: float
    unit: str
    values: Callable


def of_floor(name, protocol, most, floor="the C loop"):
    def values(results):
        return ratios(find(results, name, protocol), "floor")

    return Bar(f"{name}, {protocol}: relative to {floor}", most, "x", values)


def of_ascii(name, most):
    return Bar(f"{name}: relative to ASCII", most, "x", lambda results: ratios(find(results, name), "ascii"))


def tail(neighbour, most_ratio=1.5, most_ms=5):
    name = f"beside {neighbour}"

    def percentiles(results):
        return ratios(find(results, name), "floor")

    def iterations(results):
        row = find(results, name)
        return row and row["longest_ms"]

    return [
        Bar(f"{name}: 99th percentile relative to the C loop", most_ratio, "x", percentiles),
        Bar(f"{name}: longest iteration", most_ms, "ms", iterations),
    ]


def memory(kind, says, most):
    def values(results):
        figure = results["figures"].get("memory")
        return figure and [sample[kind] for sample in figure["samples"]]

    return Bar(f"memory after 12,000 connections, {says}", most, "MiB", values)


# Chosen: 1.05 of the C loop is as near as can be told from noise; the bars below 1 are for work in which the daemon copies
# less than the C loop, or writes in pieces that suit the kernel; 5 ms are less than most networks need for a round trip.
BARS = [
    of_floor("bulk", "echo", 0.75, "a C loop that reads and writes 256 KiB"),
    of_floor("one way", "discard", 0.55, "recv of 256 KiB"),
    of_floor("one way", "chargen", 1.05, "a C loop of send"),
    of_floor("bulk", "frame", 0.85, "the echo of a C loop that reads and writes 64 KiB"),
    *(
        of_floor(name, protocol, 1.05)
        for name in ("ping-pong", "pipeline", "churn", "one connection")
        for protocol in ("frame", "echo")
    ),
    of_floor("in turn", "frame", 1.05, "the C loop with 10,000 connections"),
    *(of_ascii(row.name, TEXTS[row.script].most) for row in COMPARISONS if row.group == "texts"),
    *(bar for neighbour in ("shufflers", "vietnamese", "scrapers", "teardown", "reloads") for bar in tail(neighbour)),
    memory("idle", "served once", 8),
    memory("half", "half a request each", 8),
]


def find(results, name, protocol="frame"):
    rows = [row for row in results["comparisons"] if (row["name"], row["protocol"]) == (name, protocol)]
    return rows[0] if rows else None


def ratios(row, other, of="retortd"):
    """The ratio in each round that measured both; None without any."""
    if not row or other not in row["samples"]:
        return None
    pairs = zip(row["samples"][of], row["samples"][other])
    return [own / theirs for own, theirs in pairs if own is not None and theirs] or None


def judged(results):
    """Each bar for which something was measured."""
    for bar in BARS:
        if values := bar.values(results):
            median = statistics.median(values)
            yield {
                "says": bar.says,
                "unit": bar.unit,
                "most": bar.most,
                "median": median,
                "quartiles": quartiles(values),
                "kept": median <= bar.most,
            }


def quartiles(values):
    """The first and the third."""
    if len(values) < 2:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]
