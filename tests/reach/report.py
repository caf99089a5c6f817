"""Results as a table, and what of them is wrong."""

from clients import DEPTH, FRESH, PERSISTENT, QUIET
from ledger import FAILURES, FAULTS

KINDS = ["fresh", "persistent", "quiet"]
HEAD = ["balancer", "delay", "down", "fresh: failed", "persistent: ended / lost", "broken", "quiet: ended", "slowest"]


def result(case, ledger, seconds, error):
    """What came of a case, for the JSON file; `error` has stopped it before its end."""
    return {
        "name": case.name,
        "says": case.says,
        "delay": case.delay,
        "down": case.down,
        "fails": case.fails,
        "error": error,
        "seconds": round(seconds, 1),
        "slowest_ms": {kind: round(time * 1000, 1) for kind, time in ledger.slowest.items()},
        "outcomes": {kind: ledger.of(kind) for kind in KINDS},
        "examples": ledger.examples,
    }


def number(case, kind, *outcomes):
    return sum(case["outcomes"][kind].get(outcome, 0) for outcome in outcomes)


def failed(case):
    return number(case, "fresh", *FAILURES)


def table(results):
    clients = f"{FRESH} fresh, {PERSISTENT} persistent with {DEPTH} requests at a time, {QUIET} quiet"
    lines = [f"Clients: {clients}.", "", row(HEAD), row("---" for _ in HEAD), *(row(cells(case)) for case in results)]
    return "\n".join(lines)


def row(cells):
    return f"| {' | '.join(cells)} |"


def cells(case):
    ended, lost = number(case, "persistent", "ended"), number(case, "persistent", "lost")
    return [
        case["says"],
        f"{case['delay']:g} s",
        f"{case['down']:g} s" if case["down"] else "-",
        f"{failed(case)} of {failed(case) + number(case, 'fresh', 'answered')}",
        f"{ended} / {lost} of {lost + number(case, 'persistent', 'answered')}",
        str(number(case, "persistent", "broken at connect", "refused")),
        quiet(case),
        f"{max(case['slowest_ms'].values(), default=0):.0f} ms",
    ]


def quiet(case):
    early, late = number(case, "quiet", "ended in the delay"), number(case, "quiet", "ended")
    return f"{early} in the delay, {late} later" if case["delay"] else str(late)


def judge(results):
    """Prints what is wrong; the exit status."""
    faulty = 0
    for case in results:
        wrong = list(wrong_with(case))
        examples = [f"for example: {example}" for example in case["examples"]] if wrong else []
        for line in wrong + examples:
            print(f"reach: {case['name']}: {line}")
        faulty += bool(wrong)
    print("reach: failed" if faulty else "reach: passed" if results else "reach: no case was run")
    return min(faulty, 1)


def wrong_with(case):
    fresh = failed(case)
    if case["error"]:
        yield case["error"]
    if case["fails"] == "none" and fresh:
        yield f"{fresh} fresh connections failed"
    if case["fails"] == "some" and not fresh:
        yield "no fresh connection failed: the test does not see what it should"
    if case["delay"] and not number(case, "quiet", "ended in the delay"):
        yield "no quiet connection was closed during the delay"
    for kind in KINDS:
        for fault in [*FAULTS, "late", "no port"]:
            if found := number(case, kind, fault):
                yield f"{found} {fault}, {kind}"
    if left := number(case, "persistent", "never answered"):
        yield f"{left} requests had no reply although they were sent again"
