"""A correct client program, as the course asks for it: frame (version 3), text (versions 1 and 2) and echo.

    right.py [--help] [-v] [-h HOST] [-p PORT] [-P PROTOCOL] FILE
    right.py [--help] [-v] [-h HOST] [-p PORT] [-P PROTOCOL] ACTION MESSAGE

FILE has a request on each line, ACTION MESSAGE, or MESSAGE for echo; `-` is standard input. A thread sends the requests
while the main thread receives the replies, so that both sides can be full. The methods of `Client` are small, because
the clients in wrong.py override one each.
"""

import argparse
import os
import socket
import struct
import sys
import threading

CODES = {
    "frame": {b"uppercase": 0x01, b"lowercase": 0x02, b"reverse": 0x04, b"shuffle": 0x08, b"random": 0x10},
    "frame-2021": {b"uppercase": 0x01, b"lowercase": 0x02, b"title-case": 0x04, b"reverse": 0x08, b"shuffle": 0x10},
}
TEXT_ACTIONS = [b"uppercase", b"lowercase", b"title-case", b"reverse", b"shuffle", b"random"]
MAX_LENGTH = (1 << 27) - 1


class Failure(Exception):
    """The reason for which the client exits with 1."""


class Client:
    """A run of the client. The options are the attributes host, port, protocol, verbose and words."""

    def __init__(self, arguments):
        self.options = self.parse(arguments)
        self.connection = None

    @staticmethod
    def parse(arguments):
        parser = argparse.ArgumentParser(prog="client", add_help=False, description="Sends requests, prints replies.")
        add = parser.add_argument
        add("--help", action="help", help="show this help and exit")
        add("-v", "--verbose", action="store_true", help="log to standard error")
        add("-h", "--host", default="localhost", help="the host of the server")
        add("-p", "--port", default=8083, type=port, help="the port of the server")
        add("-P", "--protocol", default="frame", choices=[*CODES, "text", "echo"], help="the protocol")
        add("words", nargs="+", metavar="FILE | ACTION MESSAGE", help="a file with requests, or one request")
        options = parser.parse_args(arguments)
        if len(options.words) > 2:
            parser.error("more than two arguments")
        return options

    def main(self):
        """Runs the client, and returns its exit code."""
        try:
            requests = [self.request(*self.parts(line)) for line in self.lines()]
            if requests:
                self.connection = self.connect()
                self.converse(requests)
        except Failure as failure:
            self.complain(str(failure))
            return 1
        except OSError as error:
            self.complain(f"{error.strerror or error}")
            return 1
        return 0

    def complain(self, message):
        print(f"client: {message}", file=sys.stderr)

    def log(self, message):
        if self.options.verbose:
            print(f"client: {message}", file=sys.stderr)

    # the requests

    def lines(self):
        """The requests, without the ends of the lines."""
        if len(self.options.words) == 2:
            return [b" ".join(map(os.fsencode, self.options.words))]
        return self.split(self.content(self.options.words[0]))

    def content(self, file):
        if file == "-":
            return sys.stdin.buffer.read()
        with open(file, "rb") as input:
            return input.read()

    def split(self, content):
        lines = content.split(b"\n")
        return lines[:-1] if lines[-1] == b"" else lines

    def parts(self, line):
        """Action and message of a line."""
        if self.options.protocol == "echo":
            return b"", line
        action, _, message = line.partition(b" ")
        return action, message

    def request(self, action, message):
        """A request as it is sent, and its message."""
        if self.options.protocol == "echo":
            return message, message
        if self.options.protocol == "text":
            if action not in TEXT_ACTIONS:
                raise Failure(f"no such action: {action.decode(errors='replace')}")
            return b"%s %d %s" % (action, self.length(message), message), message
        if len(message) > MAX_LENGTH:
            raise Failure(f"the message has {len(message)} bytes")
        return self.header(self.code(action), self.length(message)) + message, message

    def code(self, action):
        try:
            return CODES[self.options.protocol][action]
        except KeyError:
            raise Failure(f"no such action: {action.decode(errors='replace')}") from None

    def length(self, message):
        return len(message)

    def header(self, code, length):
        return struct.pack(">I", code << 27 | length)

    # the conversation

    def connect(self):
        self.log(f"connecting to {self.options.host}, port {self.options.port}")
        return socket.create_connection((self.options.host, self.options.port))

    def converse(self, requests):
        with self.connection:
            threading.Thread(target=self.send, args=[requests], daemon=True).start()
            self.receive_replies(requests)
            self.finish()

    def send(self, requests):
        """Sends everything, unless the server closes the connection: the other thread reports that."""
        try:
            for wire, _ in requests:
                self.connection.sendall(wire)
        except OSError:
            pass

    def receive_replies(self, requests):
        for _, message in requests:
            self.show(self.reply(message))

    def finish(self):
        """What is done after the last reply, before the connection is closed."""

    def reply(self, message):
        """The next reply, which is one to `message`."""
        if self.options.protocol == "echo":
            return self.receive(len(message))
        return self.receive(self.reply_length())

    def reply_length(self):
        if self.options.protocol != "text":
            return self.reply_header(self.receive(4))
        digits = b""
        while not digits.endswith(b" "):
            digits += self.receive(1)
        return int(digits)

    def reply_header(self, header):
        return struct.unpack(">I", header)[0]

    def receive(self, length):
        """As many bytes, in however many pieces they arrive."""
        received = bytearray()
        while len(received) < length:
            piece = self.connection.recv(min(length - len(received), 1 << 16))
            if not piece:
                raise Failure("the server has closed the connection before the last reply")
            received += piece
        return bytes(received)

    def show(self, reply):
        sys.stdout.buffer.write(reply + b"\n")
        sys.stdout.buffer.flush()


def port(word):
    """The type of the option --port."""
    number = int(word)
    if not 0 < number < 1 << 16:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(Client(sys.argv[1:]).main())
