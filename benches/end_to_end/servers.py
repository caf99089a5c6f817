"""The servers that are compared: how each is started, and what the kernel says of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, NamedTuple

HERE = Path(__file__).parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
RETORTD = TARGET / "release/retortd"
RETORT = TARGET / "release/retort"
FLOOR = TARGET / "floor"

SERVER_CPU, CLIENT_CPU = {0}, {1}


def retortd(protocol, port, workers=1):
    return [RETORTD, "--workers", str(workers), "--listen", f"{protocol}=127.0.0.1:{port}"]


def floor(protocol, port):
    return [FLOOR, str(port), protocol]


def asyncio(protocol, port):
    return [sys.executable, HERE / "asyncio_server.py", str(port), protocol]


def socat(_protocol, port):
    return ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096", "PIPE"]


def redis(_protocol, port):
    options = "--bind 127.0.0.1 --appendonly no --logfile /dev/null"
    return ["redis-server", "--port", str(port), "--save", "", *options.split()]


class Peer(NamedTuple):
    """A server, the protocols of the comparison that it speaks, and what tables and charts call it."""

    command: Callable
    protocols: set
    title: str
    short: str


PEERS = {
    "retortd": Peer(retortd, {"frame", "echo"}, "retortd", "retortd"),
    "floor": Peer(floor, {"frame", "echo"}, "bare epoll loop in C", "bare C loop"),
    "asyncio": Peer(asyncio, {"frame", "echo"}, "Python asyncio", "asyncio"),
    "redis": Peer(redis, {"echo"}, "redis, ECHO", "redis"),
    "socat": Peer(socat, {"echo"}, "socat, forking", "socat"),
}


def available():
    """The names of the peers that this machine has; the floor is compiled on the way."""
    names = ["retortd", "asyncio"]
    if compiler := shutil.which(os.environ.get("CC", "cc")):
        subprocess.run([compiler, "-O2", "-o", FLOOR, HERE / "floor.c"], check=True)
        names.insert(1, "floor")
    if shutil.which("redis-server") and shutil.which("redis-benchmark"):
        names.append("redis")
    if shutil.which("socat"):
        names.append("socat")
    return names


def speaks(name, protocol):
    return protocol in PEERS[name].protocols


def pinned(cpus):
    """What a new process does first: stay on these processors, if there are any others for the rest."""
    allowed = os.sched_getaffinity(0)
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus and cpus < allowed else None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def running(name, protocol, cpus=SERVER_CPU, **options):
    """A server that accepts, as its process and its port; ended at the end."""
    port = free_port()
    command = PEERS[name].command(protocol, port, **options)
    process = subprocess.Popen(command, preexec_fn=pinned(cpus), start_new_session=True)
    try:
        wait_for(port, process)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def wait_for(port, process):
    while process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.005)  # other servers do not announce readiness
    raise SystemExit(f"{process.args[0]} ended with {process.returncode} before it listened")


class Manager:
    """The service manager's side of sd_notify(3)."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.path = f"{self.directory.name}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10)

    def wait_ready(self):
        while b"READY=1" not in self.socket.recv(4096).split(b"\n"):
            pass


def status(pid, field):
    """A field of /proc/PID/status that counts KiB, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def cpu_time(pid):
    """What all threads of a process have used so far, in microseconds."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1000


def watched_by_pollers(pid):
    """How many descriptors each epoll instance of a process watches."""
    counts = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        if "eventpoll" in os.readlink(descriptor):
            watched = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
            counts.append(sum(line.startswith("tfd:") for line in watched.splitlines()))
    return counts
