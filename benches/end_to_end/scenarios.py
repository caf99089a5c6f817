"""What is compared: loads on several servers, texts with ASCII, and small requests beside other work.

A scenario has contenders, and measures one of them once, as a `Sample`. The first contender is the daemon; the others
are servers, or, for texts, the daemon with ASCII. A server is started anew each time, so that what was measured before
has no part in it.
"""

import socket
from dataclasses import dataclass
from typing import NamedTuple

import servers
import tails
from clients import LOWER, MIB, UPPER, Shape, ask, bench, connected, iperf3, redis_benchmark, send_request
from servers import running, status
from texts import TEXTS

IDLE_CONNECTIONS = 10_000


class Sample(NamedTuple):
    """One measurement, and how long the daemon's event loop took at most for an iteration in it."""

    value: float
    longest_ms: float | None = None


def sample(server, protocol, measure, **options):
    """Starts a server, and measures it: `measure` gets its process and its port."""
    metrics = servers.free_port() if server == "retortd" else 0
    if metrics:
        options["metrics"] = metrics
    with running(server, protocol, **options) as (pid, port):
        value = measure(pid, port)
        return Sample(value, servers.longest_iteration(metrics) if metrics else None)


@dataclass(frozen=True)
class Load:
    """Requests and replies; what counts is the server's CPU time for a request."""

    name: str
    protocol: str
    shape: Shape
    says: str
    content: str = ""  # options of retort bench for the message; none where the floor echoes
    warm_up: float = 0.1  # seconds, in which all clients connect
    without: tuple = ()  # servers that cannot take this load
    floor: tuple = ()  # how the floor is run, if not with the protocol and calls of 256 KiB: protocol, KiB
    unit: str = "us"
    group: str = "servers"

    def contenders(self, peers):
        return [peer for peer in peers if servers.speaks(peer, self.protocol) and peer not in self.without]

    def measure(self, peer, seconds):
        """Microseconds."""
        protocol, kib = self.floor if peer == "floor" and self.floor else (self.protocol, 256)
        options = {"kib": kib} if peer == "floor" else {}
        return sample(peer, protocol, lambda pid, port: self.cost(peer, protocol, pid, port, seconds), **options)

    def cost(self, peer, protocol, pid, port, seconds):
        if peer == "redis":
            return redis_benchmark(port, self.shape, seconds, pid)
        arguments = f"{self.shape} --warm-up {self.warm_up}s {self.content if protocol == self.protocol else ''}"
        # xinetd serves some connections only after seconds
        result = bench(port, protocol, arguments, seconds, pid, may_lose=peer != "retortd")
        return result["server_cpu_us_per_request"]


@dataclass(frozen=True)
class OneWay:
    """Bytes in one direction; what counts is the server's CPU time for a MiB."""

    protocol: str
    says: str
    name: str = "one way"
    connections: int = 4
    unit: str = "us"
    group: str = "servers"

    def contenders(self, peers):
        return [peer for peer in peers if servers.speaks(peer, self.protocol)]

    def measure(self, peer, seconds):
        """Microseconds."""
        return sample(peer, self.protocol, lambda pid, port: self.cost(peer, pid, port, seconds))

    def cost(self, peer, pid, port, seconds):
        if peer == "iperf3":
            return iperf3(port, self.protocol, self.connections, seconds, pid)
        # a client that compares what it receives, or copies it, would be slower than the server
        verify = "--verify length" if self.protocol == "chargen" else ""
        arguments = f"--connections {self.connections} --warm-up 0.1s {verify}"
        return bench(port, self.protocol, arguments, seconds, pid)["server_cpu_us_per_mib"]


@dataclass(frozen=True)
class Idle:
    """Connections that were served once, and wait; what counts is the server's resident memory for each."""

    name: str = "idle"
    protocol: str = "frame"
    says: str = "10,000 connections that wait, memory of each"
    unit: str = "B"
    group: str = "servers"

    def contenders(self, peers):
        return [peer for peer in peers if servers.speaks(peer, self.protocol)]

    def measure(self, peer, _seconds):
        """Bytes."""
        return sample(peer, self.protocol, self.memory)

    def memory(self, pid, port):
        with socket.create_connection(("127.0.0.1", port)) as first:
            send_request(first)
        before = status(pid, "VmRSS")
        with connected(port, IDLE_CONNECTIONS):
            return (status(pid, "VmRSS") - before) / IDLE_CONNECTIONS


@dataclass(frozen=True)
class Text:
    """1 MiB of one script, by the daemon; what counts is its CPU time, as a multiple of that of ASCII."""

    script: str
    action: str
    protocol: str = "frame"
    unit: str = "us"
    group: str = "texts"

    @property
    def name(self):
        return f"{self.script} to {self.action} case"

    @property
    def says(self):
        return f"1 MiB of {self.name}"

    def contenders(self, _peers):
        return ["retortd", "ascii"]

    def measure(self, contender, seconds):
        """Microseconds."""
        sentence = TEXTS[self.script].sentence if contender == "retortd" else ASCII
        change, other = CASES[self.action]
        text = other(sentence * (MIB // len(sentence.encode())))
        return sample(
            "retortd",
            self.protocol,
            lambda pid, port: ask(port, change, text, seconds * TEXT_SECONDS, pid),
        )


@dataclass(frozen=True)
class Tail:
    """Small requests while the daemon has other work; what counts is their 99th percentile."""

    neighbour: str
    says: str
    protocol: str = "frame"
    unit: str = "us"
    group: str = "tails"

    @property
    def name(self):
        return f"beside {self.neighbour}"

    def contenders(self, peers):
        return [peer for peer in ("retortd", "floor") if peer in peers]

    def measure(self, contender, seconds):
        """Microseconds."""
        seconds *= TAIL_SECONDS
        if contender == "floor":
            return Sample(tails.of_floor(self.neighbour, seconds))
        return Sample(*tails.of_daemon(self.neighbour, seconds))


SMALL = Shape(connections=64, size=64)
ONE = Shape(connections=1, size=64)
PIPELINE = Shape(connections=64, size=64, depth=32)
CHURN = Shape(connections=16, size=64, reconnect=True)
MANY = Shape(connections=10_000, size=64)
BULK = Shape(connections=4, size=MIB)

# The floor takes no frame of 1 MiB: it echoes the message instead, in calls of 64 KiB.
ECHOES = ("echo", 64)

# Text with which other scripts are compared, and for each action the text that has letters to change.
ASCII = "In the morning George went to the market, and bought bread, cheese and olives for all his friends. "
CASES = {"upper": (UPPER, str.lower), "lower": (LOWER, str.upper)}
# How long texts are measured, as a multiple of --seconds: they have more scenarios, and a daemon without other clients.
TEXT_SECONDS = 0.5

# The same for tails: 1 % of few requests is none.
TAIL_SECONDS = 2.5

COMPARISONS = [
    Load("ping-pong", "frame", SMALL, "64 connections, one request of 64 B at a time"),
    Load("ping-pong", "echo", SMALL, "64 connections, 64 B at a time"),
    Load("one connection", "frame", ONE, "one request of 64 B at a time"),
    Load("one connection", "echo", ONE, "64 B at a time"),
    Load("pipeline", "frame", PIPELINE, "64 connections, 32 requests of 64 B at a time"),
    Load("pipeline", "echo", PIPELINE, "64 connections, 32 times 64 B at a time"),
    Load("churn", "frame", CHURN, "a connection for each request of 64 B"),
    # xinetd 2.3.15 stops serving after some 50 connections in a second, also with `cps = 0 0`
    Load("churn", "echo", CHURN, "a connection for each 64 B", without=("xinetd",)),
    Load("in turn", "frame", MANY, "10,000 connections, one request of 64 B at a time", warm_up=1),
    Load("bulk", "echo", BULK, "1 MiB there and back, 4 connections"),
    Load("bulk", "frame", BULK, "1 MiB of ASCII in upper case; the C loop echoes", floor=ECHOES),
    Load("bulk reverse", "frame", BULK, "1 MiB of ASCII backwards", "--action reverse", floor=ECHOES),
    Load("bulk mixed", "frame", BULK, "1 MiB of Latin, Cyrillic and CJK in upper case", "--text mixed", floor=ECHOES),
    OneWay("discard", "4 connections, for each MiB received"),
    OneWay("chargen", "4 connections, for each MiB sent"),
    Idle(),
    *(Text(script, action) for script in TEXTS for action in CASES),
    Tail("quiet", "2,000 small requests a second, and nothing else"),
    Tail("shufflers", "while two clients have 16 MiB shuffled"),
    Tail("vietnamese", "while four clients have 16 MiB of Vietnamese put into upper case"),
    Tail("scrapers", "while 100 clients take the metrics a byte at a time"),
    Tail("teardown", "while 12,000 connections end at once"),
    Tail("reloads", "while the settings are reloaded ten times a second, with 12,000 connections"),
]
