"""The comparison as an SVG document: bars, one panel for each load, one for texts, and one for tails.

Each panel has a scale of its own, so that bars compare servers, not loads. The colours follow the reader's scheme
(`prefers-color-scheme`), also where the document is an image in a README. No script, no font, nothing from outside.
"""

import statistics
from html import escape
from typing import NamedTuple

from bars import ratios
from report import quantity
from servers import PEERS

# The loads that are drawn, in reading order; the others are only in the table.
LOADS = [
    ("ping-pong", "frame"),
    ("ping-pong", "echo"),
    ("one connection", "frame"),
    ("one connection", "echo"),
    ("pipeline", "frame"),
    ("pipeline", "echo"),
    ("churn", "frame"),
    ("churn", "echo"),
    ("bulk", "echo"),
    ("bulk", "frame"),
    ("one way", "discard"),
    ("one way", "chargen"),
    ("in turn", "frame"),
    ("idle", "frame"),
]

WIDTH, MARGIN, TOP = 840, 24, 84
COLUMN = (WIDTH - 3 * MARGIN) / 2
LABEL, VALUE = 112, 124  # beside a bar, to its left and right
BAR, STEP, HEAD = 14, 21, 46  # heights: of a bar, from one to the next, and above the first
CURVE = 3

# Each colour twice, and no custom properties: not every viewer knows them.
STYLE = """
  text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #59636e; }
  .title { font-size: 16px; font-weight: 600; fill: #1f2328; }
  .name { font-size: 13px; font-weight: 600; fill: #1f2328; }
  .own { font-weight: 600; fill: #1f2328; }
  .ground { fill: #ffffff; stroke: #d0d7de; }
  .bar { fill: #afb8c1; }
  .bar.own { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; }
    .title, .name, .own { fill: #f0f6fc; }
    .ground { fill: #0d1117; stroke: #3d444d; }
    .bar { fill: #3d444d; }
    .bar.own { fill: #58a6ff; }
  }
"""


class Bar(NamedTuple):
    label: str
    value: float
    shown: str
    own: bool  # of the daemon, beside others


class Panel(NamedTuple):
    title: str
    says: str
    bars: list


def document(results):
    drawn, body, y = panels(results), [], TOP
    for pair in zip(drawn[::2], drawn[1::2] + [None] * (len(drawn) % 2)):
        for each, x in zip(pair, (MARGIN, 2 * MARGIN + COLUMN)):
            if each:
                body.append(panel(each, x, y))
        y += max(height(each) for each in pair if each)
    return frame(y + 4, machine(results), "".join(body))


def panels(results):
    rows = {(row["name"], row["protocol"]): row for row in results["comparisons"]}
    drawn = [load(rows[key]) for key in LOADS if key in rows]
    for ending, title, says, other in [
        (" to upper case", "Text to upper case", "CPU time for 1 MiB, relative to ASCII", "ascii"),
        (" to lower case", "Text to lower case", "CPU time for 1 MiB, relative to ASCII", "ascii"),
        ("", "Beside other work", "99th percentile of small requests, relative to the C loop", "floor"),
    ]:
        bars = [by(row, other, ending) for row in results["comparisons"] if is_in(row, other, ending)]
        drawn += [Panel(title, says, bars)] if bars else []
    return drawn


def is_in(row, other, ending):
    """Whether a row belongs to a panel of ratios."""
    return row["group"] == ("texts" if ending else "tails") and row["name"].endswith(ending) and ratios(row, other)


def load(row):
    bars = [Bar(PEERS[peer].short, row["median"][peer], shown(row, peer), peer == "retortd") for peer in row["median"]]
    return Panel(f"{row['name'].capitalize()}, {row['protocol']}", row["says"], bars)


def shown(row, peer):
    words = quantity(row["median"][peer], row["unit"]).replace("us", "µs")
    ratio = None if peer == "retortd" else ratios(row, peer)
    return f"{words} · {statistics.median(1 / each for each in ratio):.2f} ×" if ratio else words


def by(row, other, ending):
    ratio = statistics.median(ratios(row, other))
    return Bar(row["name"].removeprefix("beside ").removesuffix(ending), ratio, f"{ratio:.2f} ×", False)


def frame(height, words, body):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img">\n<title>What a request costs the server</title>\n<style>{STYLE}</style>\n'
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>\n'
        + text(MARGIN, 32, "What a request costs the server", "title")
        + text(MARGIN, 53, f"CPU time, or memory for each idle connection: shorter is better. {words}")
        + f"{body}</svg>\n"
    )


def machine(results):
    machine = results["machine"]
    return f"{machine['processor']}, {machine['kernel'].split('-')[0]}."


def height(panel):
    return HEAD + len(panel.bars) * STEP + 18


def panel(panel, x, y):
    parts = [text(x, y + 14, panel.title, "name"), text(x, y + 32, panel.says)]
    longest = max(bar.value for bar in panel.bars) or 1
    for index, each in enumerate(panel.bars):
        parts.append(bar(each, each.value / longest, x, y + HEAD + index * STEP))
    return "".join(parts)


def bar(bar, share, x, y):
    width, kind = max(share * (COLUMN - LABEL - VALUE), 1.5), "own" if bar.own else ""
    return (
        text(x, y + 11, bar.label, kind)
        + f'<rect class="bar {kind}" x="{x + LABEL:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" rx="{CURVE}"/>'
        + text(x + LABEL + width + 8, y + 11, bar.shown, kind)
    )


def text(x, y, words, kind=""):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>\n'
