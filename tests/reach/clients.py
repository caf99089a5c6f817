"""The load: clients of the frame protocol whose requests are numbered and whose replies are all checked.

Three kinds: fresh clients send one request on each connection; persistent ones send bursts of requests on one
connection for as long as it lasts, and send those without a reply again on the next one; quiet ones send one request
and then wait for the end of their connection. The module is independent of retort.
"""

import errno
import itertools
import math
import socket
import struct
import threading
import time

from ledger import PATIENCE

UPPERCASE = 0x01 << 27
# The numbers of clients, and of requests in a burst of a persistent one, chosen: a load that keeps two processors busy.
FRESH, PERSISTENT, QUIET = 8, 16, 12
DEPTH = 8
# After a connection that failed at once: avoids a busy loop while a server is gone.
PAUSE = 0.01


def frame(text):
    return struct.pack(">I", UPPERCASE | len(text)) + text


class Fault(Exception):
    """What is wrong with a reply: an outcome, and the details."""


class Replies:
    """The replies that arrive on a connection."""

    def __init__(self, connection):
        self.connection, self.buffer, self.end = connection, b"", "closed"

    def next(self):
        """The next reply; None at the end of the connection."""
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from(">I", self.buffer)[0]:
            piece = self.receive()
            if not piece and self.buffer:
                raise Fault("cut", f"after {self.buffer[:40]!r}")
            if not piece:
                return None
            self.buffer += piece
        end = 4 + struct.unpack_from(">I", self.buffer)[0]
        reply, self.buffer = self.buffer[4:end], self.buffer[end:]
        return reply

    def receive(self):
        """More bytes; none at the end, which may be a reset."""
        try:
            return self.connection.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError):
            self.end = "reset"
            return b""

    def expect(self, text, previous):
        """Whether the reply to `text` arrives before the end of the connection; `previous` has had its reply."""
        reply = self.next()
        if reply is not None and reply != text.upper():
            raise Fault("doubled" if previous and reply == previous.upper() else "wrong", f"{reply[:40]!r} to {text!r}")
        return reply is not None


def send(connection, data):
    """Sends as much as the peer takes; what has arrived before its reset can still be received."""
    try:
        connection.sendall(data)
    except (ConnectionResetError, BrokenPipeError):
        pass


def shut_down(connection, how):
    try:
        connection.shutdown(how)
    except OSError:
        pass  # the peer has reset the connection


class Crowd:
    """All clients of a run, each in a thread; they end with the `with` statement."""

    def __init__(self, address, ledger):
        self.address, self.ledger = address, ledger
        self.over = threading.Event()
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.deadline = math.inf
        self.quiet_connections = set()
        lives = [self.fresh] * FRESH + [self.persistent] * PERSISTENT + [self.quiet] * QUIET
        self.threads = [threading.Thread(target=life) for life in lives]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.deadline = time.monotonic() + PATIENCE
        self.over.set()
        with self.lock:
            for connection in self.quiet_connections:
                shut_down(connection, socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(2 * PATIENCE)

    def text(self, kind):
        """The text of a new request."""
        with self.lock:
            return b"%s request %d" % (kind.encode(), next(self.numbers))

    def connect(self, kind):
        """A connection; None if there is none, which is counted."""
        try:
            return socket.create_connection(self.address, PATIENCE)
        except OSError as error:
            outcome = {errno.ECONNREFUSED: "refused", errno.EADDRNOTAVAIL: "no port"}.get(error.errno, "lost")
            self.ledger.add(kind, outcome, example=f"connect: {error}")
            self.over.wait(PAUSE)
            return None

    def use(self, kind, conversation):
        """A connection and what is done with it; counts what is wrong with its replies."""
        connection = self.connect(kind)
        if connection is None:
            return
        with connection:
            try:
                conversation(connection, Replies(connection))
            except Fault as fault:
                self.ledger.add(kind, fault.args[0], example=fault.args[1])
            except TimeoutError as error:
                self.ledger.add(kind, "late", example=str(error))

    def fresh(self):
        while not self.over.is_set():
            self.use("fresh", self.one_request)

    def one_request(self, connection, replies):
        """One request, its reply, and then nothing but the end."""
        begun, text = time.monotonic(), self.text("fresh")
        send(connection, frame(text))
        if not replies.expect(text, None):
            self.ledger.add("fresh", "lost", example=f"the connection was {replies.end} without a reply to {text!r}")
            self.over.wait(PAUSE)
            return
        shut_down(connection, socket.SHUT_WR)
        if (more := replies.next()) is not None:
            raise Fault("doubled", f"{more[:40]!r} behind the reply to {text!r}")
        self.ledger.answered("fresh", time.monotonic() - begun)

    def persistent(self):
        pending = []
        while not self.over.is_set() or (pending and time.monotonic() < self.deadline):
            self.use("persistent", lambda connection, replies: self.bursts(connection, replies, pending))
        self.ledger.add("persistent", "never answered", len(pending))

    def bursts(self, connection, replies, pending):
        """Bursts of requests until the connection ends; `pending` has those without a reply, the oldest first."""
        repeated, served, previous = len(pending), 0, None
        while pending or not self.over.is_set():
            pending += [self.text("persistent") for _ in range(DEPTH - len(pending))]
            begun = time.monotonic()
            send(connection, b"".join(map(frame, pending)))
            while pending:
                if not replies.expect(pending[0], previous):
                    return self.ended(len(pending), served)
                previous = pending.pop(0)
                served += 1
                self.ledger.answered("persistent", time.monotonic() - begun)
                if served <= repeated:
                    self.ledger.add("persistent", "answered when sent again")

    def ended(self, pending, served):
        """A connection has ended with requests that have no reply; none had one if the connection was never served."""
        if served:
            self.ledger.add("persistent", "ended")
            self.ledger.add("persistent", "lost", pending)
        else:
            self.ledger.add("persistent", "broken at connect")
            self.over.wait(PAUSE)

    def quiet(self):
        while not self.over.is_set():
            self.use("quiet", self.wait_for_end)

    def wait_for_end(self, connection, replies):
        """One request and its reply, and then silence until the other side closes."""
        text = self.text("quiet")
        send(connection, frame(text))
        if not replies.expect(text, None):
            self.ledger.add("quiet", "lost")
            self.over.wait(PAUSE)
            return
        connection.settimeout(None)
        with self.lock:
            if self.over.is_set():
                return
            self.quiet_connections.add(connection)
        more = replies.next()
        with self.lock:
            self.quiet_connections.discard(connection)
        if more is not None:
            raise Fault("doubled", f"{more[:40]!r} behind the reply to {text!r}")
        if not self.over.is_set():
            self.ledger.quiet_ended()
