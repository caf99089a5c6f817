"""Figures of the daemon alone."""

import json
import os
import socket
import statistics
import subprocess
import time

import servers
import tails
from clients import MIB, bench, connected, send_request
from servers import RETORTD, Manager, running, status

LARGEST = 134_217_727


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
        # longer than the frame takes: a reply within the measurement is required
        bench(port, "frame", f"--connections 1 --size {LARGEST} --warm-up 0s", 2)
        return {"mib": (status(pid, "VmHWM") - LARGEST) / MIB}


def binary(_seconds):
    """The size of the program, in MiB."""
    return {"mib": os.path.getsize(RETORTD) / MIB}


# name: the function that measures, the name of the figure, and the format of its value
FIGURES = {
    "shuffle": (shuffle, "16 MiB shuffled", "{ms:.0f} ms of CPU, {ratio:.2f} x the bare algorithm"),
    "workers": (
        workers,
        "throughput of two workers relative to one; difference of their numbers of connections, relative to their mean",
        "{ratio:.2f} x; {spread:.1%}",
    ),
    "memory": (
        tails.memory,
        "memory that 12,000 connections leave behind: served once; half a request each",
        "{idle:.2f} MiB; {half:.2f} MiB",
    ),
    "start": (start, "from fork to READY; resident then", "{ms:.1f} ms; {mib:.2f} MiB"),
    "activation": (activation, "from connecting to the first byte, the daemon started by that", "{ms:.1f} ms"),
    "largest": (largest, "resident at most for the largest frame, beside the frame", "{mib:.1f} MiB"),
    "binary": (binary, "the program", "{mib:.2f} MiB"),
}
