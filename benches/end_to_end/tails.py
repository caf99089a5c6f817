"""The slowest small requests and the longest iteration of the event loop, while a server has other work.

    python3 benches/end_to_end/tails.py [--rounds N] [--seconds S] [--only NAME,...] [--workers N,...]

Small requests arrive at a fixed rate, so that a pause of the server delays all that are due in it. They are served by
the daemon that has the other work, and, for comparison, by the bare loop in C beside such a daemon: the machine has the
same to do, and the scheduler has its part in both. Prints the 99th percentile of both and their ratio, and the longest
iteration, which the daemon counts itself; medians of the rounds. The row `memory` is the resident memory of the daemon
before 12,000 connections and after them.
"""

import argparse
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import neighbours
import servers
from clients import MIB, bench, raise_descriptor_limit
from servers import RETORTD, running, status

WARM_UP = 1
SMALL = f"--connections 8 --size 64 --rate 2000 --warm-up {WARM_UP}s"

NEIGHBOURS = {
    "quiet": neighbours.quiet,
    "shufflers": neighbours.shufflers,
    "vietnamese": neighbours.vietnamese,
    "scrapers": neighbours.scrapers,
    "teardown": neighbours.teardown,
    "reloads": neighbours.reloads,
    "impaired": neighbours.impaired,
    "arrivals": neighbours.arrivals,
}


class Daemon:
    """retortd with metrics, and with an impaired listener whose settings can be reloaded."""

    warm_up = WARM_UP

    def __init__(self, directory, workers, program=RETORTD):
        self.settings = Path(directory) / "settings"
        self.port, self.impaired, self.metrics = (servers.free_port() for _ in range(3))
        self.write_settings(latency=50)
        command = [program, "--workers", str(workers), "--settings", self.settings]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        servers.wait_for(self.port, self.process)

    def write_settings(self, latency):
        self.settings.write_text(
            f"RETORTD_LISTEN=frame=127.0.0.1:{self.port} metrics=127.0.0.1:{self.metrics} "
            f"echo=127.0.0.1:{self.impaired},latency={latency}ms,jitter=20ms,slice=7\n"
        )

    def reload(self, latency):
        self.write_settings(latency)
        self.process.send_signal(signal.SIGHUP)

    def longest_iteration(self):
        """In milliseconds."""
        return servers.longest_iteration(self.metrics)

    def end(self):
        self.process.terminate()
        self.process.wait()


@contextmanager
def daemon(workers, program=RETORTD):
    with tempfile.TemporaryDirectory() as directory:
        server = Daemon(directory, workers, program)
        try:
            yield server
        finally:
            server.end()


def percentile(port, seconds):
    """The 99th percentile of small requests, in microseconds."""
    return bench(port, "frame", SMALL, seconds, cpus=None)["latency_us"]["p99"]


def of_daemon(name, seconds, workers=1, program=RETORTD):
    """The 99th percentile beside a neighbour, in microseconds, and the longest iteration, in milliseconds."""
    with daemon(workers, program) as server:
        with NEIGHBOURS[name](server):
            own = percentile(server.port, seconds)
        return own, server.longest_iteration()


def of_floor(name, seconds, workers=1, program=RETORTD):
    """The 99th percentile of the bare loop beside a daemon that has the neighbour, in microseconds."""
    with daemon(workers, program) as server, running("floor", "frame", cpus=None) as (_, port):
        with NEIGHBOURS[name](server):
            return percentile(port, seconds)


def tail(name, seconds, workers=1, program=RETORTD):
    """The 99th percentiles beside a neighbour, of the daemon and of the bare loop, and the longest iteration."""
    own, longest = of_daemon(name, seconds, workers, program)
    floor = of_floor(name, seconds, workers, program)
    return {"us": own, "floor_us": floor, "ratio": own / floor, "longest_ms": longest}


def memory(_seconds, workers=1, program=RETORTD):
    """MiB by which resident memory has grown when crowds have left: one served, one with half a request each."""
    grown = {}
    for name, sent, received in [("idle", neighbours.HELLO, 9), ("half", neighbours.HALF, 0)]:
        with daemon(workers, program) as server:
            pid = server.process.pid
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(neighbours.HELLO)
                client.recv(9)
                before = status(pid, "VmRSS")
            with neighbours.crowd(server.port, sent, received):
                during = status(pid, "VmRSS")
            wait_until_empty(server)
            grown[name] = (status(pid, "VmRSS") - before) / MIB
            grown[name + "_during"] = (during - before) / MIB
    return grown


def wait_until_empty(server):
    """Until the daemon has closed all connections, and a second more for what it gives back to the system."""
    while True:
        connections = Path(f"/proc/{server.process.pid}/fd")
        if len(list(connections.iterdir())) < 100:
            break
        time.sleep(0.05)
    time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often everything is measured [3]")
    parser.add_argument("--seconds", type=float, default=2, metavar="S", help="how long each measurement is [2]")
    parser.add_argument("--only", default=",".join([*NEIGHBOURS, "memory"]), metavar="NAME,...", help="[all]")
    parser.add_argument("--workers", default="1,2", metavar="N,...", help="numbers of workers [1,2]")
    parser.add_argument("--program", type=Path, default=RETORTD, help="the daemon [target/release/retortd]")
    options = parser.parse_args()
    raise_descriptor_limit()
    servers.available()
    for name in options.only.split(","):
        measure = memory if name == "memory" else lambda *words: tail(name, *words)
        for workers in map(int, options.workers.split(",")):
            samples = [measure(options.seconds, workers, options.program) for _ in range(options.rounds)]
            medians = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
            shown = ", ".join(f"{key} {value:.2f}" for key, value in medians.items())
            print(f"{name}, workers {workers}: {shown}", flush=True)


if __name__ == "__main__":
    main()
