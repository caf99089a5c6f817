"""What became of every request: numbers of each outcome, which the clients' threads add up."""

import threading
from collections import Counter

# What a client can find wrong with the bytes of a reply; each is a fault, whatever is restarted.
FAULTS = ["cut", "wrong", "doubled"]
# How a fresh connection fails. "no port" is a fault of this machine: all its local ports are in use.
FAILURES = ["refused", "lost", "late", "no port", *FAULTS]

# How long anything that is awaited may take, in seconds: chosen far above what a busy machine needs.
PATIENCE = 30


class Ledger:
    """Counts by kind of client and outcome; what happened is kept for the first requests that failed."""

    def __init__(self):
        self.changed = threading.Condition()
        self.counts = Counter()
        self.slowest = Counter()
        self.examples = []
        self.awaited = None
        self.in_delay = False

    def add(self, kind, outcome, number=1, example=None):
        with self.changed:
            self.counts[kind, outcome] += number
            if example and outcome in FAILURES and len(self.examples) < 3:
                self.examples.append(f"{kind}, {outcome}: {example}")
            self.notify(kind, outcome)

    def answered(self, kind, seconds):
        with self.changed:
            self.counts[kind, "answered"] += 1
            self.slowest[kind] = max(self.slowest[kind], seconds)
            self.notify(kind, "answered")

    def notify(self, *counted):
        if counted == self.awaited:
            self.changed.notify_all()

    def set_in_delay(self, is_in_delay):
        """Whether an instance is in its drain delay, for what clients see."""
        with self.changed:
            self.in_delay = is_in_delay

    def quiet_ended(self):
        self.add("quiet", "ended in the delay" if self.in_delay else "ended")

    def wait_for(self, kind, outcome, more):
        """Waits until this many more have had this outcome."""
        with self.changed:
            self.awaited = (kind, outcome)
            wanted = self.counts[kind, outcome] + more
            if not self.changed.wait_for(lambda: self.counts[kind, outcome] >= wanted, PATIENCE):
                raise TimeoutError(f"no {more} more of {kind}, {outcome}, in {PATIENCE} s: {dict(self.counts)}")

    def of(self, kind):
        """The numbers of all outcomes of a kind."""
        with self.changed:
            return {outcome: number for (of, outcome), number in self.counts.items() if of == kind}
