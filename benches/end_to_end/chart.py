"""The comparison as an SVG document: bars, one panel for each load.

Each panel has a scale of its own, so that bars compare servers, not loads. The colours follow the reader's scheme
(`prefers-color-scheme`), also where the document is an image in a README. No script, no font, nothing from outside.
"""

from html import escape

from report import quantity
from servers import PEERS

# The rows that are drawn, in reading order; the other rows are only in the table.
PANELS = [
    ("ping-pong", "frame"),
    ("ping-pong", "echo"),
    ("pipeline", "frame"),
    ("pipeline", "echo"),
    ("churn", "frame"),
    ("churn", "echo"),
    ("bulk", "frame"),
    ("idle", "frame"),
]

WIDTH, MARGIN, TOP = 840, 24, 84
COLUMN = (WIDTH - 3 * MARGIN) / 2
LABEL, VALUE = 84, 124  # beside a bar, to its left and right
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


def document(results):
    rows = {(row["name"], row["protocol"]): row for row in results["comparisons"]}
    drawn = [rows[key] for key in PANELS if key in rows]
    body, y = [], TOP
    for pair in zip(drawn[::2], drawn[1::2] + [None] * (len(drawn) % 2)):
        for row, x in zip(pair, (MARGIN, 2 * MARGIN + COLUMN)):
            if row:
                body.append(panel(row, x, y))
        y += max(height(row) for row in pair if row)
    return frame(y + 4, machine(results), "".join(body))


def frame(height, words, body):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img">\n<title>What a request costs the server</title>\n<style>{STYLE}</style>\n'
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>\n'
        + text(MARGIN, 32, "What a request costs the server", "title")
        + text(MARGIN, 53, f"CPU time for each request, memory for each idle connection: shorter is better. {words}")
        + f"{body}</svg>\n"
    )


def machine(results):
    machine = results["machine"]
    return f"{machine['processor']}, {machine['kernel'].split('-')[0]}."


def height(row):
    return HEAD + len(row["median"]) * STEP + 18


def panel(row, x, y):
    parts = [text(x, y + 14, f"{row['name'].capitalize()}, {row['protocol']}", "name"), text(x, y + 32, row["says"])]
    longest = max(row["median"].values())
    for index, (peer, value) in enumerate(row["median"].items()):
        parts.append(bar(row, peer, value / longest, x, y + HEAD + index * STEP))
    return "".join(parts)


def bar(row, peer, share, x, y):
    width = max(share * (COLUMN - LABEL - VALUE), 1.5)
    kind = "own" if peer == "retortd" else ""
    shown = quantity(row["median"][peer], row["unit"]).replace("us", "µs")
    own = row["median"].get("retortd", 0)
    if own and peer != "retortd":
        shown += f" · {row['median'][peer] / own:.2f} ×"
    return (
        text(x, y + 11, PEERS[peer].short, kind)
        + f'<rect class="bar {kind}" x="{x + LABEL:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" rx="{CURVE}"/>'
        + text(x + LABEL + width + 8, y + 11, shown, kind)
    )


def text(x, y, words, kind=""):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>\n'
