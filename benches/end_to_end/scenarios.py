"""What is measured: comparisons, which all peers run, and figures of the daemon alone."""

import json
import os
import resource
import socket
import statistics
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import servers
from servers import CLIENT_CPU, RETORT, RETORTD, Manager, running, status

IDLE_CONNECTIONS = 10_000
LARGEST = 134_217_727
MIB = 1 << 20
HELLO = struct.pack("!I5s", 1 << 27 | 5, b"hello")


@dataclass(frozen=True)
class Shape:
    """How many, how large, at what pace."""

    connections: int
    size: int
    depth: int = 1
    reconnect: bool = False

    def __str__(self):
        """The options of `retort bench`."""
        pace = "--reconnect" if self.reconnect else f"--depth {self.depth}"
        return f"--connections {self.connections} --size {self.size} {pace}"


@dataclass(frozen=True)
class Load:
    """One load; what counts is the server's CPU time for a request."""

    name: str
    protocol: str
    shape: Shape
    says: str
    content: str = ""  # options of retort bench for the message; none where the floor echoes
    unit: str = "us"

    def measure(self, peer, seconds):
        """Microseconds; the floor takes no large frames, but echoes: the least that such a message costs."""
        protocol = "echo" if peer == "floor" and self.shape == BULK else self.protocol
        arguments = str(self.shape) if protocol == "echo" else f"{self.shape} {self.content}"
        with running(peer, protocol) as (pid, port):
            if peer == "redis":
                return redis_benchmark(port, self.shape, seconds, pid)
            return bench(port, protocol, arguments, seconds, pid)["server_cpu_us_per_request"]


@dataclass(frozen=True)
class Idle:
    """Connections that were served once, and wait; what counts is the server's resident memory for each."""

    name: str = "idle"
    protocol: str = "frame"
    says: str = "10,000 connections that wait, memory of each"
    unit: str = "B"

    def measure(self, peer, _seconds):
        """Bytes."""
        raise_descriptor_limit()
        with running(peer, self.protocol) as (pid, port):
            with socket.create_connection(("127.0.0.1", port)) as first:
                send_request(first)
            before = status(pid, "VmRSS")
            with connected(port, IDLE_CONNECTIONS):
                return (status(pid, "VmRSS") - before) / IDLE_CONNECTIONS


SMALL = Shape(connections=64, size=64)
PIPELINE = Shape(connections=64, size=64, depth=32)
CHURN = Shape(connections=16, size=64, reconnect=True)
BULK = Shape(connections=4, size=MIB)

COMPARISONS = [
    Load("ping-pong", "frame", SMALL, "64 connections, one request of 64 B at a time"),
    Load("ping-pong", "echo", SMALL, "64 connections, 64 B at a time"),
    Load("pipeline", "frame", PIPELINE, "64 connections, 32 requests of 64 B at a time"),
    Load("pipeline", "echo", PIPELINE, "64 connections, 32 times 64 B at a time"),
    Load("churn", "frame", CHURN, "a connection for each request of 64 B"),
    Load("churn", "echo", CHURN, "a connection for each 64 B"),
    Load("bulk", "echo", BULK, "1 MiB there and back, 4 connections"),
    Load("bulk", "frame", BULK, "1 MiB of ASCII in upper case; the C loop echoes"),
    Load("bulk reverse", "frame", BULK, "1 MiB of ASCII backwards", "--action reverse"),
    Load("bulk mixed", "frame", BULK, "1 MiB of Latin, Cyrillic and CJK in upper case", "--text mixed"),
    Idle(),
]


def bench(port, protocol, arguments, seconds, pid=None, cpus=CLIENT_CPU):
    """Runs `retort bench` and returns what it says."""
    command = [RETORT, "bench", f"127.0.0.1:{port}", "--protocol", protocol, "--json", "--duration", f"{seconds}s"]
    command += ["--server-pid", str(pid)] if pid else []
    done = subprocess.run(
        command + arguments.split(), preexec_fn=servers.pinned(cpus), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} {arguments}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def redis_benchmark(port, shape, seconds, pid):
    """The server's CPU time for an ECHO in redis's own protocol, in microseconds."""
    # it counts requests, not time: about as many as take a second, that often
    requests = int(seconds * (10_000 if shape.reconnect else min(50_000 * shape.depth, (1 << 30) // shape.size)))
    command = ["redis-benchmark", "-p", port, "-c", shape.connections, "-P", shape.depth, "-n", requests]
    command += ["-k", int(not shape.reconnect), "-x", "ECHO"]
    before = servers.cpu_time(pid)
    subprocess.run(
        map(str, command),
        input=b"x" * shape.size,
        preexec_fn=servers.pinned(CLIENT_CPU),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return (servers.cpu_time(pid) - before) / requests


@contextmanager
def connected(port, count):
    """`count` clients, each of which has received one reply."""
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for client in clients:
        send_request(client)
    yield
    for client in clients:
        client.close()


def send_request(client):
    client.sendall(HELLO)
    reply = client.recv(9, socket.MSG_WAITALL)
    assert reply == b"\0\0\0\5HELLO", reply


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Skipped(Exception):
    """A figure that this machine cannot give; the words say why."""


def shuffle(seconds):
    """Milliseconds of CPU for 16 MiB, and how often that of the bare algorithm, which criterion has measured."""
    estimates = servers.TARGET / "criterion/16MiB/bare Fisher-Yates/new/estimates.json"
    if not estimates.exists():
        raise Skipped("cargo bench --bench transform has not measured the bare algorithm")
    bare = json.loads(estimates.read_text())["median"]["point_estimate"] / 1e6
    with running("retortd", "frame") as (pid, port):
        arguments = "--connections 1 --size 16M --action shuffle --verify length --warm-up 0s"
        took = bench(port, "frame", arguments, seconds, pid)["server_cpu_us_per_request"] / 1000
    return {"ms": took, "ratio": took / bare}


def fairness(seconds):
    """The 99th percentile of small requests, in microseconds: alone, and while two clients shuffle 16 MiB."""
    with running("retortd", "frame", cpus=None, workers=2) as (_, port):
        small = "--connections 8 --size 64"
        large = "--connections 2 --size 16M --action shuffle --verify length"
        quiet = bench(port, "frame", small, seconds, cpus=None)
        with ThreadPoolExecutor() as pool:
            # the small load is measured when the large one has begun, and until before it ends
            greedy = pool.submit(bench, port, "frame", large, seconds + 2, cpus=None)
            loaded = bench(port, "frame", small + " --warm-up 1s", seconds, cpus=None)
            shuffled = greedy.result()["requests"]
    assert shuffled > 0, "nothing was shuffled"
    quiet, loaded = quiet["latency_us"]["p99"], loaded["latency_us"]["p99"]
    return {"quiet_us": quiet, "us": loaded, "ratio": loaded / quiet}


def workers(seconds):
    """Throughput of two workers by that of one, and how unevenly connections are spread, as a share of their mean."""
    # what costs the server ten times what it costs the client, and is done by the workers themselves: both
    # processors are for them
    arguments = "--connections 64 --depth 8 --size 8K --action shuffle --text mixed --verify length"
    rates = {}
    for count in (1, 2):
        with running("retortd", "frame", cpus=None, workers=count) as (_, port):
            rates[count] = bench(port, "frame", arguments, seconds, cpus=None)["requests_per_second"]
    return {"ratio": rates[2] / rates[1], "spread": spread()}


def spread():
    with running("retortd", "frame", cpus=None, workers=2) as (pid, port):
        before = servers.watched_by_pollers(pid)
        with connected(port, 400):
            after = servers.watched_by_pollers(pid)
    each = sorted(map(int.__sub__, after, before))[-2:]
    return (each[1] - each[0]) / statistics.mean(each)


def start(_seconds):
    """Milliseconds from fork to READY, and MiB that are resident then."""
    manager = Manager()
    began = time.perf_counter()
    process = subprocess.Popen(
        [RETORTD, "--listen", "frame=127.0.0.1:0"], env={"NOTIFY_SOCKET": manager.path}
    )
    manager.wait_ready()
    took = time.perf_counter() - began
    resident = status(process.pid, "VmRSS")
    process.terminate()
    process.wait()
    return {"ms": took * 1000, "mib": resident / MIB}


def activation(_seconds):
    """Milliseconds from connecting to the first byte, where the connection starts the daemon as systemd would."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        began = time.perf_counter()
        client = socket.create_connection(listener.getsockname())
        process = subprocess.Popen(
            # LISTEN_PID must be the daemon's own, and the descriptor number 3: sd_listen_fds(3)
            ["sh", "-c", 'LISTEN_PID=$$ exec "$0" 3<&0 </dev/null', RETORTD],
            stdin=listener,
            env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "frame"},
        )
        send_request(client)
        took = time.perf_counter() - began
    client.close()
    process.terminate()
    process.wait()
    return {"ms": took * 1000}


def largest(_seconds):
    """The most memory that was resident while the largest frame was processed, beside the frame itself, in MiB."""
    with running("retortd", "frame") as (pid, port):
        bench(port, "frame", f"--connections 1 --size {LARGEST} --warm-up 0s", 0.1)
        return {"mib": (status(pid, "VmHWM") - LARGEST) / MIB}


def binary(_seconds):
    """The size of the program, in MiB."""
    return {"mib": os.path.getsize(RETORTD) / MIB}


# name: the function that measures, the name of the figure, and the format of its value
FIGURES = {
    "shuffle": (shuffle, "16 MiB shuffled", "{ms:.0f} ms of CPU, {ratio:.2f} x the bare algorithm"),
    "fairness": (
        fairness,
        "99th percentile of small requests while two clients shuffle 16 MiB",
        "{us:.0f} us, {ratio:.2f} x that without them",
    ),
    "workers": (
        workers,
        "throughput of two workers by that of one; how far their connections are apart",
        "{ratio:.2f} x; {spread:.1%}",
    ),
    "start": (start, "from fork to READY; resident then", "{ms:.1f} ms; {mib:.2f} MiB"),
    "activation": (activation, "from connecting to the first byte, the daemon started by that", "{ms:.1f} ms"),
    "largest": (largest, "resident at most for the largest frame, beside the frame", "{mib:.1f} MiB"),
    "binary": (binary, "the program", "{mib:.2f} MiB"),
}
