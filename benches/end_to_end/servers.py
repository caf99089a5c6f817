"""The servers that are compared: how each is started, and what the kernel says of it."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Callable, NamedTuple

HERE = Path(__file__).parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
RETORTD = TARGET / "release/retortd"
RETORT = TARGET / "release/retort"
FLOOR = TARGET / "floor"
COMPILER = os.environ.get("CC", "cc")
# More than any load has; haproxy requires two descriptors for each, and some.
HAPROXY_CONNECTIONS = 1000

SERVER_CPU, CLIENT_CPU = {0}, {1}
LONGEST_ITERATION = "retortd_event_loop_longest_iteration_seconds"


def retortd(protocol, port, _directory, workers=1, metrics=0):
    served = ["--listen", f"metrics=127.0.0.1:{metrics}"] if metrics else []
    return [RETORTD, "--workers", str(workers), "--listen", f"{protocol}=127.0.0.1:{port}", *served]


def floor(protocol, port, _directory, kib=256):
    return [FLOOR, str(port), protocol, str(kib)]


def asyncio(protocol, port, _directory):
    return [sys.executable, HERE / "asyncio_server.py", str(port), protocol]


def socat(_protocol, port, _directory):
    return ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096", "PIPE"]


def redis(_protocol, port, directory):
    options = f"--bind 127.0.0.1 --appendonly no --logfile {directory}/log --dir {directory}"
    return ["redis-server", "--port", str(port), "--save", "", *options.split()]


def haproxy(_protocol, port, directory, backend):
    settings = f"""
        global
            nbthread 1
            maxconn {HAPROXY_CONNECTIONS}
        defaults
            mode tcp
            timeout connect 10s
            timeout client 1h
            timeout server 1h
        listen proxy
            bind 127.0.0.1:{port}
            server floor 127.0.0.1:{backend}
        """
    return ["haproxy", "-db", "-q", "-f", written(directory, "haproxy.cfg", settings)]


def xinetd(protocol, port, directory):
    settings = f"""
        service {protocol}
        {{
            type = INTERNAL UNLISTED
            id = {protocol}-stream
            socket_type = stream
            protocol = tcp
            bind = 127.0.0.1
            port = {port}
            user = {getpass.getuser()}
            wait = no
            flags = NODELAY
            instances = UNLIMITED
            per_source = UNLIMITED
            cps = 0 0
        }}
        """
    # as root it would also write to /var/log and /run, and remove its file of the process ID in the end
    own = ["-filelog", f"{directory}/log", "-pidfile", f"{directory}/pid"]
    return ["xinetd", "-dontfork", "-f", written(directory, "xinetd.conf", settings), *own]


def iperf3(_protocol, port, directory):
    return ["iperf3", "--server", "--bind", "127.0.0.1", "--port", str(port), "--logfile", f"{directory}/log"]


def written(directory, name, text):
    path = Path(directory) / name
    path.write_text(textwrap.dedent(text))
    return path


class Peer(NamedTuple):
    """A server, the protocols of the comparison that it speaks, and what tables and charts call it."""

    command: Callable
    protocols: set
    title: str
    short: str
    programs: tuple = ()  # what must be installed
    backend: str = ""  # the server that it is a proxy of


PEERS = {
    "retortd": Peer(retortd, {"frame", "echo", "discard", "chargen"}, "retortd", "retortd"),
    "floor": Peer(floor, {"frame", "echo", "discard", "chargen"}, "bare epoll loop in C", "bare C loop", (COMPILER,)),
    "asyncio": Peer(asyncio, {"frame", "echo", "discard", "chargen"}, "Python asyncio", "asyncio"),
    "redis": Peer(redis, {"echo"}, "redis, ECHO", "redis", ("redis-server", "redis-benchmark")),
    "socat": Peer(socat, {"echo"}, "socat, forking", "socat", ("socat",)),
    "haproxy": Peer(haproxy, {"echo"}, "haproxy, TCP proxy", "haproxy", ("haproxy", COMPILER), "floor"),
    "xinetd": Peer(xinetd, {"echo", "discard", "chargen"}, "xinetd, forking", "xinetd", ("xinetd",)),
    "iperf3": Peer(iperf3, {"discard", "chargen"}, "iperf3", "iperf3", ("iperf3",)),
}


def available():
    """The names of the peers that this machine has; the floor is compiled on the way."""
    names = [name for name, peer in PEERS.items() if not missing(peer)]
    if "floor" in names:
        subprocess.run([COMPILER, "-O2", "-o", FLOOR, HERE / "floor.c"], check=True)
    return names


def missing(peer):
    """The programs that a peer requires and this machine does not have."""
    return [program for program in peer.programs if not shutil.which(program)]


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
    """A server that accepts, as its process and its port; ended at the end. The backend of a proxy is no part of it."""
    port, peer = free_port(), PEERS[name]
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        if peer.backend:
            options["backend"] = stack.enter_context(running(peer.backend, protocol, cpus and CLIENT_CPU))[1]
        command = peer.command(protocol, port, directory, **options)
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, preexec_fn=pinned(cpus), start_new_session=True, stdout=quiet)
        stack.callback(end, process)
        wait_for(port, process)
        yield process.pid, port


def end(process):
    process.terminate()
    process.wait()


def wait_for(port, process):
    """Until a server listens; not by connecting to it, as some serve one client at a time, or log that as an error."""
    while not listens(port):
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with {process.returncode} before it listened")
        time.sleep(0.005)  # other servers do not announce readiness


def listens(port):
    """Whether a socket of IPv4 listens on a port: /proc/net/tcp, proc(5)."""
    address, listening = f":{port:04X}", "0A"
    with open("/proc/net/tcp") as lines:
        return any(line.split()[1].endswith(address) and line.split()[3] == listening for line in lines)


def longest_iteration(metrics):
    """How long retortd's event loop took at most for one iteration, in milliseconds, by its metrics on that port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return next(float(line.split()[1]) * 1000 for line in lines if line.startswith(LONGEST_ITERATION + " "))


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
    """What all threads of a process and of its running children have used so far, in microseconds."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    own = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1000
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    return own + sum(map(cpu_time, children))


def watched_by_pollers(pid):
    """How many descriptors each epoll instance of a process watches."""
    counts = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        if "eventpoll" in os.readlink(descriptor):
            watched = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
            counts.append(sum(line.startswith("tfd:") for line in watched.splitlines()))
    return counts
