#!/usr/bin/python3
"""Connections that are kept while a command restarts the service; every byte of every reply is compared.

    established.py [--idle N] [--each N] [--busy N] [--unread N] [--rounds N] [--may-end] [--once]
                   [--until FILE] [--pause MS] -- COMMAND...

Each round brings every connection into the state that its kind describes (idle, in the middle of a request, with an unread
reply), runs COMMAND, and then completes what was begun. --each is the number of connections of a kind. Busy clients
pipeline requests all the time. Prints what it counted, and exits with 1 if a byte is wrong or missing, a connection has
ended, or the command has failed.
With --may-end connections may end, and are opened again: only a wrong byte is a failure. With --once no connection is
opened after the command. There are fewer rounds if FILE exists after one. --pause is the longest time without a reply that
a busy client accepts. Ports are those of the socket units; 9083 is a listener for PROXY headers.
"""
import collections
import errno
import os
import random
import select
import socket
import subprocess
import sys
import time

from clients import END, EXPECT, PORTS, RESTART, SEND, UNREAD, UNREAD_KINDS, frame, kinds, message, reply

TIMEOUT = 30  # seconds without any progress after which a reply counts as lost
IP_BIND_ADDRESS_NO_PORT = 24  # ip(7)


class Wrong(Exception):
    """A byte differs from the expected one."""


class Ended(Exception):
    """The connection has ended before its time."""


class Connection:
    """Sends what is to be sent and compares what arrives; the classes below decide what that is."""

    def __init__(self, crowd, kind, port, number):
        self.crowd, self.kind, self.port, self.number = crowd, kind, port, number
        self.sock = None

    def open(self):
        self.close()
        self.out, self.expected, self.at, self.received = b"", b"", 0, 0
        self.sock, self.interest = socket.socket(), 0
        self.crowd.poll.register(self.sock, 0)
        self.crowd.connections[self.sock.fileno()] = self
        # an address has fewer than 30,000 ports; each is chosen with the destination
        self.sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        self.sock.bind(("127.0.0.%d" % (2 + self.number // 20000), 0))
        if self.kind in UNREAD_KINDS:
            # the kernel of the client has little of the reply, the service the rest
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(("127.0.0.1", self.port))
        self.sock.setblocking(False)
        self.crowd.counts["connections opened"] += 1

    def close(self):
        if self.sock:
            del self.crowd.connections[self.sock.fileno()]
            self.crowd.poll.unregister(self.sock)
            self.sock.close()
            self.sock = None

    def want(self, interest):
        if self.sock and interest != self.interest:
            self.crowd.poll.modify(self.sock, interest)
            self.interest = interest

    def send(self):
        if self.out:
            try:
                self.out = self.out[self.sock.send(self.out):]
            except BlockingIOError:
                pass

    def receive(self):
        """Compares what has arrived of the expected bytes."""
        while self.at < len(self.expected):
            try:
                data = self.sock.recv(min(len(self.expected) - self.at, 1 << 18))
            except BlockingIOError:
                return
            if not data:
                raise Ended("at byte %d of a reply of %d" % (self.at, len(self.expected)))
            if data != self.expected[self.at:self.at + len(data)]:
                raise Wrong("%r in place of %r" % (data[:80], self.expected[self.at:self.at + 80]))
            self.at += len(data)
            self.received += len(data)

    def expect_nothing(self):
        """Nothing has arrived that was not expected; False where the connection has ended."""
        try:
            data = self.sock.recv(100)
        except BlockingIOError:
            return
        if data:
            raise Wrong("%r behind the last reply" % data)
        raise Ended("between two requests")


class Client(Connection):
    """Does what its generator says, up to the next restart."""

    def __init__(self, crowd, kind, port, number, behaviour):
        super().__init__(crowd, kind, port, number)
        self.behaviour = behaviour
        self.state = RESTART  # not opened: the first round does that

    def resume(self):
        """The restart is over."""
        if self.state == RESTART and (self.sock or not self.crowd.once):
            self.next()

    def next(self):
        if not self.sock:
            self.open()
            self.steps = self.behaviour()
        self.state, value = next(self.steps, (None, None))
        if self.state is None:
            self.crowd.counts["connections closed after their last reply"] += 1
            self.close()
            if self.crowd.once:
                self.state = RESTART
                return None
            return self.next()
        if self.state == SEND:
            self.out = value
        elif self.state == EXPECT:
            self.expected, self.at = value, 0
        elif self.state == UNREAD and value:
            self.sock.shutdown(socket.SHUT_WR)
        self.want({SEND: select.EPOLLOUT, RESTART: 0}.get(self.state, select.EPOLLIN))
        return None

    def ready(self):
        if self.state == SEND:
            self.send()
            if self.out:
                return
        elif self.state == EXPECT:
            self.receive()
            if self.at < len(self.expected):
                return
            self.crowd.counts["replies"] += 1
            self.expected = b""
        elif self.state == END:
            if self.sock.recv(100):
                raise Wrong("bytes in place of the end")
        elif self.state == RESTART:  # EPOLLHUP or EPOLLERR
            raise Ended("during a restart")
        self.next()

    def waits(self):
        return self.state == RESTART

    def end(self):
        self.close()
        self.state = RESTART


class Busy(Connection):
    """Sixteen requests of random lengths at a time, as long as the test runs."""
    DEPTH = 16

    def __init__(self, crowd, kind, port, number):
        super().__init__(crowd, kind, port, number)
        self.stopped = False

    def resume(self):
        if not self.sock and not self.crowd.once:
            self.open()
            self.next()

    def next(self):
        texts = [message(random.choice((0, 10, 1000, 1000, 30_000))) for _ in range(self.DEPTH - 1)]
        texts.append(message(random.choice((10, 1000, 300_000))))
        self.out = b"".join(map(frame, texts))
        self.expected, self.at = b"".join(reply(text.upper()) for text in texts), 0
        self.since = time.monotonic()
        self.want(select.EPOLLIN | select.EPOLLOUT)

    def ready(self):
        if self.at == len(self.expected):  # EPOLLHUP or EPOLLERR
            raise Ended("between two requests")
        before = self.at
        self.send()
        self.receive()
        if self.at > before:
            now = time.monotonic()
            self.crowd.paused(now - self.since)
            self.since = now
        if self.at == len(self.expected):
            self.crowd.counts["replies"] += self.DEPTH
            if self.stopped:
                return self.want(0)
            return self.next()
        self.want(select.EPOLLIN | (select.EPOLLOUT if self.out else 0))
        return None

    def waits(self):
        return not self.stopped or not self.sock or self.at == len(self.expected)

    def end(self):
        self.close()


class Crowd:
    """All connections, and what was counted."""

    def __init__(self, options):
        self.options, self.once = options, False
        self.poll, self.connections = select.epoll(), {}
        self.counts = collections.Counter()
        self.ended, self.wrong = collections.Counter(), collections.Counter()
        self.longest_pause, self.measures = 0, False
        self.all = [Client(self, name, port, number, client)
                    for name, port, count, client in kinds(options) for number in range(count)]
        self.busy = [Busy(self, "busy", PORTS["frame"], number) for number in range(options.busy)]
        self.all += self.busy

    def paused(self, seconds):
        if self.measures:
            self.longest_pause = max(self.longest_pause, seconds)

    def attempt(self, connection, act):
        try:
            act()
        except Wrong as error:
            self.wrong["%s: %s" % (connection.kind, error)] += 1
            connection.end()
        except (Ended, OSError) as error:
            what = str(error) if isinstance(error, Ended) else errno.errorcode.get(error.errno, str(error))
            self.ended["%s: %s" % (connection.kind, what)] += 1
            connection.end()

    def turn(self, seconds):
        events = self.poll.poll(seconds)
        for number, _ in events:
            connection = self.connections.get(number)
            if connection:
                self.attempt(connection, connection.ready)
        return bool(events)

    def settle(self):
        """Goes on until every client waits for a restart."""
        waiting = [connection for connection in self.all if not connection.waits()]
        progress = time.monotonic()
        while waiting:
            before = len(waiting), self.counts["replies"]
            self.turn(1)
            waiting = [connection for connection in waiting if not connection.waits()]
            if (len(waiting), self.counts["replies"]) != before:
                progress = time.monotonic()
            if time.monotonic() - progress > TIMEOUT:
                for connection in waiting:
                    self.ended["%s: no reply (%s)" % (connection.kind, getattr(connection, "state", "busy"))] += 1
                    connection.end()
                return

    def resume(self):
        for index, connection in enumerate(self.all):
            self.attempt(connection, connection.resume)
            if index % 64 == 0:
                self.turn(0)

    def restart(self):
        """Runs the command, and goes on until every busy client has had a reply after it."""
        self.measures, begun = True, time.monotonic()
        with subprocess.Popen(self.options.command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                self.turn(0.005)
            if process.returncode:
                self.wrong["the command has failed with %d" % process.returncode] += 1
        ended = time.monotonic()
        self.counts["ms in commands"] += int((ended - begun) * 1000)
        while any(busy.sock and busy.since < ended < time.monotonic() < ended + TIMEOUT for busy in self.busy):
            self.turn(0.1)
        self.measures = False

    def reopen(self):
        """Those that have ended."""
        for connection in self.all:
            if not connection.sock:
                self.attempt(connection, connection.resume)

    def run(self):
        for _ in range(self.options.rounds):
            self.resume()
            self.settle()
            self.reopen()
            self.settle()
            self.counts["connections kept over restarts"] += sum(1 for each in self.all if each.sock)
            self.once = self.options.once
            self.restart()
            if os.path.exists(self.options.until):
                break
        for busy in self.busy:
            busy.stopped = True
        self.resume()
        self.settle()
        for connection in self.all:
            if connection.sock and connection.kind not in UNREAD_KINDS:
                self.attempt(connection, connection.expect_nothing)

    def report(self):
        for name, number in sorted(self.counts.items()):
            print("%s: %d" % (name, number))
        print("longest pause: %d ms" % (self.longest_pause * 1000))
        for what, counter in (("ended", self.ended), ("WRONG", self.wrong)):
            for reason, number in counter.most_common(20):
                print("%s: %d times: %s" % (what, number, reason))
        slow = self.longest_pause * 1000 > self.options.pause
        return 1 if self.wrong or slow or (self.ended and not self.options.may_end) else 0


class Options:
    idle, each, busy, unread, rounds, pause = 100, 8, 8, 4, 1, float("inf")
    may_end, once, until, command = False, False, "", ["true"]

    def __init__(self, arguments):
        while arguments:
            name = arguments.pop(0)
            if name == "--":
                self.command = arguments
                return
            if name in ("--may-end", "--once"):
                setattr(self, name[2:].replace("-", "_"), True)
            elif name == "--until":
                self.until = arguments.pop(0)
            elif name in ("--idle", "--each", "--busy", "--unread", "--rounds", "--pause"):
                setattr(self, name[2:], int(arguments.pop(0)))
            else:
                sys.exit(__doc__)


if __name__ == "__main__":
    crowd = Crowd(Options(sys.argv[1:]))
    crowd.run()
    sys.exit(crowd.report())
