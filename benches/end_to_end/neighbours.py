"""What else a server does while small requests are measured: each is a context in which a process loads `server`."""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from contextlib import contextmanager

from clients import HELLO
from servers import RETORT

CROWD = 12_000
SCRAPERS = 100
HALF = struct.pack("!I", 1 << 27 | 8192) + b"x" * 4096
VIETNAMESE = "tôi thấy một người đứng ở giữa đường, và ngẫm nghĩ về những điều đã được kể lại từ xưa. "
LARGE = 16 << 20


@contextmanager
def child(run):
    """A process that runs until the end of the context; `run` gets a function to call when it has begun."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        # it does not outlive this process: PR_SET_PDEATHSIG, prctl(2)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        try:
            run(lambda: os.write(theirs, b"x"))
        finally:
            os._exit(1)
    os.close(theirs)
    try:
        assert os.read(ours, 1), "the neighbour could not begin"
        yield pid
    finally:
        os.close(ours)
        kill(pid)


def kill(pid):
    """Ends a child, unless it has ended: the kernel closes all its connections at once."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


@contextmanager
def load(port, arguments):
    """`retort bench`, without an end."""
    command = [RETORT, "bench", f"127.0.0.1:{port}", "--verify", "length", "--duration", "1h", *arguments.split()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
        assert process.poll() is None, f"{command} ended"
    finally:
        process.kill()
        process.wait()


def quiet(_server):
    """Nothing."""
    return child(lambda begun: (begun(), signal.pause()))


def shufflers(server):
    """Two clients have 16 MiB shuffled."""
    return load(server.port, "--connections 2 --size 16M --action shuffle")


def vietnamese(server):
    """Four clients have 16 MiB of Vietnamese put into upper case."""

    def run(begun):
        text = (VIETNAMESE.encode() * (LARGE // len(VIETNAMESE.encode()) + 1))[:LARGE]
        message = text.decode(errors="ignore").encode()
        request = struct.pack("!I", 1 << 27 | len(message)) + message
        for _ in range(4):
            threading.Thread(target=ask_forever, args=(server.port, request), daemon=True).start()
        begun()
        signal.pause()

    return child(run)


def ask_forever(port, request):
    with socket.create_connection(("127.0.0.1", port)) as client:
        buffer = bytearray(1 << 20)
        while True:
            client.sendall(request)
            length = int.from_bytes(client.recv(4, socket.MSG_WAITALL))
            while length:
                length -= client.recv_into(buffer, min(length, len(buffer)))


def scrapers(server):
    """100 clients ask for the metrics, and take a byte at a time."""

    def run(begun):
        begun()
        while True:
            clients = []
            for _ in range(SCRAPERS):
                client = socket.socket()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                client.connect(("127.0.0.1", server.metrics))
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                clients.append(client)
            until = time.monotonic() + 1
            while time.monotonic() < until:
                for client in clients:
                    client.settimeout(0)
                    try:
                        client.recv(1)
                    except OSError:
                        pass
                time.sleep(0.001)

    return child(run)


def impaired(server):
    """2,000 clients of a listener with latency, jitter and pieces of 7 bytes."""
    return load(server.impaired, "--protocol echo --connections 2000 --size 700")


def crowd(port, sent=HELLO, received=9):
    """12,000 connections, each of which has sent something and has got its reply."""

    def run(begun):
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CROWD)]
        for client in clients:
            client.sendall(sent)
        for client in clients:
            assert len(client.recv(received, socket.MSG_WAITALL) if received else b"") == received
        begun()
        signal.pause()

    return child(run)


@contextmanager
def teardown(server):
    """12,000 connections end at once, half a second after the measurement has begun."""
    with crowd(server.port, HALF, 0) as pid:
        timer = threading.Timer(server.warm_up + 0.5, kill, [pid])
        timer.start()
        yield
        timer.join()


@contextmanager
def arrivals(server):
    """12,000 clients connect as fast as they can, over and over again."""
    with load(server.port, "--connections 12000 --reconnect"):
        yield


@contextmanager
def reloads(server):
    """The settings are reloaded ten times a second, and change the impairments of 12,000 connections each time."""
    ended = threading.Event()

    def run():
        number = 0
        while not ended.wait(0.1):
            number += 1
            server.reload(latency=1 + number % 2)

    with crowd(server.impaired, b"x", 1):
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
