"""Starts a daemon with impaired listeners, and measures as a client what they do."""

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

UPPERCASE, REVERSE = 0x01, 0x04
# The largest message of frame.
LARGEST = (1 << 27) - 1
TCP_INFO_DATA_SEGS_IN = 152  # the offset of tcpi_data_segs_in in struct tcp_info (linux/tcp.h)


def frame(text, action=UPPERCASE):
    return struct.pack(">I", action << 27 | len(text)) + text


class Daemon:
    """A daemon with these listeners, each `PROTOCOL` or `PROTOCOL,OPTIONS`; ended by the with statement."""

    def __init__(self, program, *listeners, words=()):
        self.listeners = [listener.partition(",") for listener in listeners]
        self.words = [str(program), "--workers=1", *words]
        for name, comma, options in self.listeners:
            self.words.append(f"--listen={name}=127.0.0.1:0{comma}{options}")

    def __enter__(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.settimeout(10)
            notify.bind(f"{directory}/notify")
            environment = {"NOTIFY_SOCKET": f"{directory}/notify"}
            self.log = tempfile.TemporaryFile()
            self.process = subprocess.Popen(self.words, env=environment, stderr=self.log)
            try:
                text = ""
                while "READY=1" not in text:
                    text = notify.recv(1 << 16).decode()
            except OSError:
                self.__exit__()
                self.log.seek(0)
                sys.exit(f"{' '.join(self.words)}: not ready:\n{self.log.read().decode()}")
        addresses = text.partition("listening on ")[2].partition(";")[0].splitlines()[0].split(", ")
        self.ports = [int(address.rpartition(":")[2]) for address in addresses]
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def connect(self, listener=0):
        client = socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=60)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client


def receive(client, length):
    """Receives that many bytes, and drops them."""
    while length:
        part = client.recv(min(length, 1 << 20))
        if not part:
            sys.exit(f"benches/impairments: closed, {length} bytes too early")
        length -= len(part)


def exchange(client, request, length):
    """Sends a request and receives a reply of that length; returns the time in milliseconds."""
    begun = time.perf_counter()
    client.sendall(request)
    receive(client, length)
    return (time.perf_counter() - begun) * 1e3


SMALL = {"frame": (frame(b"abc"), 7), "echo": (b"abc", 3)}


def latencies(daemon, protocol, number):
    with daemon.connect() as client:
        return [exchange(client, *SMALL[protocol]) for _ in range(number)]


def first_byte(daemon):
    """The time in milliseconds from the connection to the first byte of a server that speaks first."""
    begun = time.perf_counter()
    with daemon.connect() as client:
        receive(client, 1)
        return (time.perf_counter() - begun) * 1e3


def download(daemon, rate, seconds):
    """Bytes per second that chargen sends."""
    with daemon.connect() as client:
        begun, length = time.perf_counter(), int(rate * seconds)
        receive(client, length)
        return length / (time.perf_counter() - begun)


def upload(daemon, rate, seconds):
    """Bytes per second that discard reads, which closes when it has read all."""
    length = int(rate * seconds)
    with daemon.connect() as client:
        begun = time.perf_counter()
        client.sendall(bytes(length))
        client.shutdown(socket.SHUT_WR)
        client.recv(1)
        return length / (time.perf_counter() - begun)


def both_ways(daemon, rate, seconds):
    """Bytes per second in each direction of echo, which reads and sends at the same time."""
    length = int(rate * seconds)
    with daemon.connect() as client:
        sender = threading.Thread(target=client.sendall, args=(bytes(length),))
        begun = time.perf_counter()
        sender.start()
        receive(client, length)
        elapsed = time.perf_counter() - begun
        sender.join()
        return length / elapsed


def one_after_the_other(daemon, rate, seconds):
    """Bytes per second of a request of frame and its reply: each takes half of the time."""
    length = int(rate * seconds / 2)
    with daemon.connect() as client:
        return 2 * length / exchange(client, frame(bytes(length - 4), REVERSE), length) * 1e3


def pieces(daemon, request, length):
    """The largest piece that arrives, and the times between two of them in milliseconds."""
    with daemon.connect() as client:
        client.sendall(request)
        largest, times = 0, []
        while length:
            part = client.recv(length)
            if not part:
                sys.exit("benches/impairments: closed within a reply")
            times.append(time.perf_counter())
            largest, length = max(largest, len(part)), length - len(part)
        return largest, [(later - earlier) * 1e3 for earlier, later in zip(times, times[1:])]


def segments(daemon, request, length):
    """The number of segments in which a reply arrives."""
    with daemon.connect() as client:
        exchange(client, request, length)
        information = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return struct.unpack_from("I", information, TCP_INFO_DATA_SEGS_IN)[0]


def close_after(daemon):
    """The time in milliseconds between the last byte of a reply and the end of the connection."""
    with daemon.connect() as client:
        client.shutdown(socket.SHUT_WR)
        receive(client, 1)
        begun = time.perf_counter()
        while client.recv(1 << 10):
            pass
        return (time.perf_counter() - begun) * 1e3


def percentiles(daemon, seconds):
    """The number of small requests in that time, their median, their 99th percentile and their maximum."""
    end, times = time.perf_counter() + seconds, []
    with daemon.connect() as client:
        while time.perf_counter() < end:
            times.append(exchange(client, *SMALL["frame"]))
    times.sort()
    return len(times), times[len(times) // 2], times[len(times) * 99 // 100], times[-1]


def read_in_background(daemon, listener):
    """A process that asks frame for the largest reply and reads it; returned when the reply has begun to arrive."""
    begun, writer = os.pipe()
    process = os.fork()
    if process == 0:
        signal.alarm(120)
        with daemon.connect(listener) as client:
            client.sendall(frame(bytes(LARGEST)))
            receive(client, 1)
            os.write(writer, b"x")
            while client.recv(1 << 20):
                pass
        os._exit(0)
    os.close(writer)
    if not os.read(begun, 1):
        sys.exit("benches/impairments: there was no reply")
    os.close(begun)
    return process
