"""The clients that load a server: `retort bench`, and those of servers with a protocol of their own."""

import json
import os
import resource
import socket
import struct
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass

import servers
from servers import CLIENT_CPU, RETORT

MIB = 1 << 20
# Actions of the protocol `frame`: their codes, and what replies must equal.
UPPER, LOWER = (1, str.upper), (2, str.lower)
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


def bench(port, protocol, arguments, seconds, pid=None, cpus=CLIENT_CPU, may_lose=False):
    """Runs `retort bench` and returns what it says; fails if requests were lost, unless the server may lose some."""
    command = [RETORT, "bench", f"127.0.0.1:{port}", "--protocol", protocol, "--json", "--duration", f"{seconds}s"]
    command += ["--server-pid", str(pid)] if pid else []
    done = subprocess.run(
        command + arguments.split(), preexec_fn=servers.pinned(cpus), capture_output=True, text=True
    )
    result = json.loads(done.stdout) if done.stdout else {}
    has_lost = may_lose and result.get("lost") and result["requests"] and not any(result["errors"].values())
    if done.returncode != 0 and not has_lost:
        raise SystemExit(f"{' '.join(map(str, command))} {arguments}: {done.stdout}{done.stderr}")
    return result


def redis_benchmark(port, shape, seconds, pid):
    """The server's CPU time for an ECHO in redis's own protocol, in microseconds."""
    # it counts requests, not time: about as many as take a second, that often
    requests = int(seconds * (10_000 if shape.reconnect else min(50_000 * shape.depth, (1 << 30) // shape.size)))
    requests = max(requests, shape.connections)
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


def iperf3(port, protocol, connections, seconds, pid):
    """The CPU time of an iperf3 server for a MiB, in microseconds."""
    # it cuts fractions of a second off, and refuses none
    command = ["iperf3", "--client", "127.0.0.1", "--port", port, "--time", max(round(seconds), 1), "--json"]
    command += ["--parallel", connections, *(["--reverse"] if protocol == "chargen" else [])]
    before = servers.cpu_time(pid)
    done = subprocess.run(
        map(str, command), preexec_fn=servers.pinned(CLIENT_CPU), capture_output=True, text=True, check=True
    )
    mib = json.loads(done.stdout)["end"]["sum_received"]["bytes"] / MIB
    return (servers.cpu_time(pid) - before) / mib


def ask(port, action, text, seconds, pid):
    """The server's CPU time, in microseconds, for a message of the protocol `frame`: by one client, again and again."""
    code, change = action
    message, expected = text.encode(), change(text).encode()
    request = struct.pack("!I", code << 27 | len(message)) + message
    reply = struct.pack("!I", len(expected)) + expected
    with client_cpu(), socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(2):  # the first requests also cost the memory that later ones use again
            exchange(client, request, reply)
        count, before, until = 0, servers.cpu_time(pid), time.monotonic() + seconds
        while not count or time.monotonic() < until:
            exchange(client, request, reply)
            count += 1
        return (servers.cpu_time(pid) - before) / count


def exchange(client, request, expected):
    client.sendall(request)
    reply = client.recv(len(expected), socket.MSG_WAITALL)
    assert reply == expected, f"{len(expected)} bytes were expected: {reply[:100]}"


@contextmanager
def client_cpu():
    """Keeps the calling thread on the processor of clients, if there are others."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed & CLIENT_CPU or allowed)
    yield
    os.sched_setaffinity(0, allowed)


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
