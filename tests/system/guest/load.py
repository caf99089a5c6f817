#!/usr/bin/python3
"""Load for the system tests: clients of the frame protocol that count what goes wrong. Independent of retort.

    load.py request PORT TEXT [ADDRESS] one request; prints the reply
    load.py visits PORT COUNT           one request a connection, by COUNT clients, until standard input ends
    load.py stays PORT COUNT            many requests a connection, pipelined
    load.py large PORT COUNTxLENGTH     one message of LENGTH bytes from each of COUNT clients; prints what came of them

visits and stays print what they counted and exit 1 if a connection was refused, a reply lost, cut or wrong.
"""
import socket
import struct
import sys
import threading

UPPERCASE = 0x01 << 27
TIMEOUT = 20  # seconds after which a reply counts as lost


def frame(text):
    return struct.pack(">I", UPPERCASE | len(text)) + text


def receive(sock, length):
    """Exactly `length` bytes; fewer only where the server closed."""
    data = b""
    while len(data) < length:
        piece = sock.recv(length - len(data))
        if not piece:
            break
        data += piece
    return data


def read_reply(sock):
    """The next reply; None where the server closed instead of it."""
    header = receive(sock, 4)
    if not header:
        return None
    if len(header) < 4:
        raise ValueError("a reply cut in its header")
    (length,) = struct.unpack(">I", header)
    text = receive(sock, length)
    if len(text) < length:
        raise ValueError("a reply cut after %d of %d bytes" % (len(text), length))
    return text


def connect(port, address="127.0.0.1"):
    return socket.create_connection((address, port), TIMEOUT)


class Crowd:
    """Clients, each in a thread, that go on until they are stopped."""

    def __init__(self, behaviour, port):
        self.behaviour, self.port = behaviour, port
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.counts = {"connections": 0, "replies": 0, "unread": 0}
        self.failures = {}

    def count(self, name, number=1):
        with self.lock:
            self.counts[name] += number

    def live(self, number):
        round = 0
        while not self.stop.is_set():
            round += 1
            try:
                self.behaviour(self, b"client %d round %d" % (number, round))
            except (OSError, ValueError) as error:
                with self.lock:
                    what = "%s: %s" % (type(error).__name__, error)
                    self.failures[what] = self.failures.get(what, 0) + 1
                self.stop.wait(0.01)  # avoids a busy loop while the server is gone

    def run(self, count):
        threads = [threading.Thread(target=self.live, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        sys.stdin.read()  # the test closes it when the load is to end
        self.stop.set()
        for thread in threads:
            thread.join()
        print(", ".join("%d %s" % (number, name) for name, number in self.counts.items()))
        for what, number in self.failures.items():
            print("failed %d times: %s" % (number, what))
        return 1 if self.failures or not self.counts["replies"] else 0


def visit(crowd, text):
    with connect(crowd.port) as sock:
        crowd.count("connections")
        sock.sendall(frame(text))
        got = read_reply(sock)
        if got is None:
            raise ValueError("closed without a reply")
        if got != text.upper():
            raise ValueError("a wrong reply: %r" % got)
        crowd.count("replies")


def stay(crowd, text):
    """Sixteen requests at a time. A server that stops may leave requests unread, but closes between two replies."""
    depth = 16
    with connect(crowd.port) as sock:
        crowd.count("connections")
        while not crowd.stop.is_set():
            sock.sendall(frame(text) * depth)
            for number in range(depth):
                try:
                    got = read_reply(sock)
                except (ConnectionResetError, BrokenPipeError):
                    got = None
                if got is None:
                    crowd.count("unread", depth - number)
                    return
                if got != text.upper():
                    raise ValueError("a wrong reply: %r" % got)
                crowd.count("replies")


def large(port, length, results):
    piece = b"a" * (1 << 20)
    try:
        with connect(port) as sock:
            sender = threading.Thread(target=send_large, args=(sock, length, piece))
            sender.start()
            try:
                header = receive(sock, 4)
                (left,) = struct.unpack(">I", header)
                served = left == length
                while left and (piece := sock.recv(min(left, 1 << 20))):
                    left -= len(piece)
                    served = served and piece == b"A" * len(piece)
            finally:
                sender.join()
        results.append("served" if served and not left else "error" if piece == b"error" else "wrong")
    except (OSError, struct.error) as error:
        results.append(type(error).__name__)


def send_large(sock, left, piece):
    try:
        sock.sendall(struct.pack(">I", UPPERCASE | left))
        while left:
            sock.sendall(piece[:left])
            left -= min(left, len(piece))
    except OSError:
        pass  # the reader says what became of it


def main(what, port, argument, address="127.0.0.1"):
    port = int(port)
    if what == "request":
        with connect(port, address) as sock:
            sock.sendall(frame(argument.encode()))
            print((read_reply(sock) or b"(closed)").decode())
        return 0
    if what in ("visits", "stays"):
        return Crowd(visit if what == "visits" else stay, port).run(int(argument))
    results = []
    count, length = map(int, argument.split("x"))
    threads = [threading.Thread(target=large, args=(port, length, results)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(", ".join("%d %s" % (results.count(what), what) for what in sorted(set(results))))
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
