"""Results as JSON and as the tables of performance.md."""

import json
import statistics

from bars import quartiles, ratios
from servers import PEERS

BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

# How much of the processors others may take.
QUIET = 0.1


def tables(results):
    machine = results["machine"]
    parts = [
        f"{results['version']} on {machine['processor']}, {machine['processors']} processors, {machine['kernel']}; "
        f"load average before {machine['load']:.2f}; medians of {results['rounds']} rounds, "
        f"{results['seconds']:g} s each. In parentheses are the quartiles.\n"
    ]
    if machine["busy"] > QUIET:
        parts.append(f"**The machine had other work ({machine['busy']:.0%}): these figures say little.**\n")
    if results["missing"]:
        parts.append(f"Not installed, and therefore left out: {', '.join(results['missing'])}.\n")
    groups = {"servers": comparisons, "texts": texts, "tails": tails}
    for group, shown in groups.items():
        if rows := [row for row in results["comparisons"] if row["group"] == group]:
            parts.append(shown(rows))
    if results["figures"]:
        rows = [[figure["says"], figure["shown"]] for figure in results["figures"].values()]
        parts.append(table(["retortd alone", "measured"], rows))
    if results["bars"]:
        parts.append(bars(results["bars"]))
    return "\n".join(parts)


def comparisons(rows):
    """retortd's own figure, and the others as multiples of it."""
    peers = [peer for peer in PEERS if any(peer in row["median"] for row in rows)]
    head = ["load", "protocol", *(PEERS[peer].title for peer in peers), "longest iteration"]
    lines = [
        [f"{row['name']}: {row['says']}", row["protocol"], *(cell(row, peer) for peer in peers), longest(row)]
        for row in rows
    ]
    return table(head, lines)


def cell(row, peer):
    if peer not in row["median"]:
        return "-"
    if peer == "retortd" or not row["median"].get("retortd"):
        return quantity(row["median"][peer], row["unit"])
    return spread([1 / ratio for ratio in ratios(row, peer)])


def texts(rows):
    head = ["text", "retortd", "ASCII", "retortd / ASCII", "longest iteration"]
    return table(head, [[row["says"], *contest(row, "ascii")] for row in rows])


def tails(rows):
    head = ["99th percentile of small requests", "retortd", PEERS["floor"].title, "retortd / C loop", "longest iteration"]
    return table(head, [[row["says"], *contest(row, "floor")] for row in rows])


def contest(row, other):
    """The figures of both, and the first by the second."""
    both = [quantity(row["median"][each], row["unit"]) if each in row["median"] else "-" for each in ("retortd", other)]
    values = ratios(row, other)
    return [*both, spread(values) if values else "-", longest(row)]


def longest(row):
    return quantity(statistics.median(row["longest_ms"]), "ms") if row["longest_ms"] else "-"


def bars(judged):
    lines = [
        [bar["says"], f"{bar['most']:g} {bar['unit']}", measured(bar), "ok" if bar["kept"] else "**missed**"]
        for bar in judged
    ]
    return table(["bar", "at most", "measured", ""], lines)


def measured(bar):
    return f"{bar['median']:.2f} {bar['unit']} ({bar['quartiles'][0]:.2f} to {bar['quartiles'][1]:.2f})"


def spread(values):
    """The median, and the quartiles if there are any."""
    low, high = quartiles(values)
    return f"{statistics.median(values):.2f}" + (f" ({low:.2f} to {high:.2f})" if len(values) > 1 else "")


def quantity(value, unit):
    """Three digits, and the unit."""
    if unit == "us" and value >= 1000:
        value, unit = value / 1000, "ms"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:,.{digits}f} {unit}"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(results, directory):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "performance.json").write_text(json.dumps(results, indent=1) + "\n")
    put(results, directory / "performance.md")


def put(results, page):
    """Writes the tables between the marks of a page, and keeps the rest of it."""
    text = page.read_text() if page.exists() else BEGIN + END
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}{tables(results)}{END}{after}")
