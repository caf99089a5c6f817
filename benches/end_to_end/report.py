"""Results as JSON and as the tables of performance.md."""

import json

from servers import PEERS

BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

# How much of the processors others may take.
QUIET = 0.1


def tables(results):
    machine = results["machine"]
    parts = [
        f"{results['version']} on {machine['processor']}, {machine['processors']} processors, {machine['kernel']}; load "
        f"average before {machine['load']:.2f}; medians of {results['rounds']} rounds, {results['seconds']:g} s each.\n"
    ]
    if machine["busy"] > QUIET:
        parts.append(f"**The machine had other work ({machine['busy']:.0%}): these figures say little.**\n")
    if results["comparisons"]:
        parts.append(comparisons(results["comparisons"]))
    if results["figures"]:
        rows = [[figure["says"], figure["shown"]] for figure in results["figures"].values()]
        parts.append(table(["retortd alone", "measured"], rows))
    return "\n".join(parts)


def comparisons(rows):
    """retortd's own figure, and the others as multiples of it."""
    peers = [peer for peer in PEERS if any(peer in row["median"] for row in rows)]
    head = ["load", "protocol", *(PEERS[peer].title for peer in peers)]
    lines = [[f"{row['name']}: {row['says']}", row["protocol"], *(cell(row, peer) for peer in peers)] for row in rows]
    return table(head, lines)


def cell(row, peer):
    median = row["median"]
    if peer not in median:
        return "-"
    return quantity(median[peer], row["unit"]) if peer == "retortd" else ratio(row, peer)


def ratio(row, peer):
    own = row["median"].get("retortd")
    return f"{row['median'][peer] / own:.2f}" if own else quantity(row["median"][peer], row["unit"])


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
