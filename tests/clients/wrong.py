"""Client programs with one flaw each, as people write them.

    wrong.py FLAW [the arguments of right.py]
    wrong.py --list

Each flaw is a class that overrides a method of the correct client.
"""

import errno
import os
import socket
import struct
import sys
import time

from right import Client, Failure

FLAWS = {}


def flaw(name):
    def register(client):
        FLAWS[name] = client
        return client

    return register


# receiving


@flaw("one-recv-for-the-header")
class OneRecvForTheHeader(Client):
    """recv is called once for the header."""

    def reply_length(self):
        return struct.unpack(">I", self.connection.recv(4))[0]


@flaw("one-recv-for-the-data")
class OneRecvForTheData(Client):
    """recv is called once for the data."""

    def reply(self, message):
        return self.connection.recv(self.reply_length())


@flaw("one-recv-for-the-echo")
class OneRecvForTheEcho(Client):
    """recv is called once for what comes back from an echo server."""

    def reply(self, message):
        return self.connection.recv(len(message))


@flaw("one-recv-for-the-digits")
class OneRecvForTheDigits(Client):
    """recv is called once for a reply of the text protocol."""

    def reply(self, message):
        return self.connection.recv(1 << 20).partition(b" ")[2]


@flaw("drops-leftovers")
class DropsLeftovers(Client):
    """What arrives together with a reply, behind it, is thrown away."""

    def reply(self, message):
        received = b""
        while len(received) < 4 or len(received) < 4 + self.reply_header(received[:4]):
            piece = self.connection.recv(1 << 20)
            if not piece:
                raise Failure("the server has closed the connection before the last reply")
            received += piece
        return received[4 : 4 + self.reply_header(received[:4])]


@flaw("64-kib")
class AtMost64Kib(Client):
    """Only 16 bits of a reply's length are used."""

    def reply_header(self, header):
        return super().reply_header(header) & 0xFFFF


@flaw("length-of-the-request")
class LengthOfTheRequest(Client):
    """A reply is taken to be as long as its request."""

    def reply(self, message):
        self.receive(4)
        return self.receive(len(message))


@flaw("little-endian-reply")
class LittleEndianReply(Client):
    """The length of a reply is read as little-endian."""

    def reply_header(self, header):
        return struct.unpack("<I", header)[0]


@flaw("decodes-pieces")
class DecodesPieces(Client):
    """Every piece is decoded by itself, even if it ends within a code point."""

    def receive(self, length):
        if length == 4:
            return super().receive(length)
        text = ""
        while length > 0:
            piece = self.connection.recv(length)
            if not piece:
                raise Failure("the server has closed the connection before the last reply")
            text += piece.decode(errors="replace")
            length -= len(piece)
        return text.encode()


@flaw("stops-at-empty-reply")
class StopsAtEmptyReply(Client):
    """An empty reply is taken for the end of the connection."""

    def receive_replies(self, requests):
        for _, message in requests:
            reply = self.reply(message)
            if not reply:
                break
            self.show(reply)


@flaw("stops-at-error")
class StopsAtError(Client):
    """The client gives up after the reply `error`."""

    def receive_replies(self, requests):
        for _, message in requests:
            reply = self.reply(message)
            self.show(reply)
            if reply == b"error":
                raise Failure("the server has refused the request")


@flaw("reads-all")
class ReadsAll(Client):
    """Everything is printed that arrives before the server closes, whatever was requested."""

    def receive_replies(self, requests):
        super().receive_replies(requests)
        self.connection.shutdown(socket.SHUT_WR)
        while header := self.connection.recv(4):
            self.show(self.receive(self.reply_header(header)))


# sending


@flaw("little-endian-request")
class LittleEndianRequest(Client):
    """The header of a request is little-endian."""

    def header(self, code, length):
        return struct.pack("<I", code << 27 | length)


@flaw("code-of-the-other-edition")
class CodeOfTheOtherEdition(Client):
    """The code of `reverse` is that of the other edition of the course."""

    def code(self, action):
        other = {"frame": 0x08, "frame-2021": 0x04}
        return other[self.options.protocol] if action == b"reverse" else super().code(action)


@flaw("code-in-the-top-byte")
class CodeInTheTopByte(Client):
    """The code is not shifted into the five top bits, but fills the top byte."""

    def header(self, code, length):
        return struct.pack(">I", code << 24 | length)


@flaw("counts-characters")
class CountsCharacters(Client):
    """The length of a request counts characters."""

    def length(self, message):
        return len(message.decode(errors="replace"))


@flaw("sends-newline")
class SendsNewline(Client):
    """The newline at the end of a line is sent with the message."""

    def request(self, action, message):
        return super().request(action, message + b"\n")


@flaw("sends-first")
class SendsFirst(Client):
    """Everything is sent before the first reply is received."""

    def converse(self, requests):
        with self.connection:
            self.send(requests)
            self.receive_replies(requests)


@flaw("one-send")
class OneSend(Client):
    """send is called once for a request. With a timeout it sends what fits into the socket's buffer."""

    def connect(self):
        connection = super().connect()
        connection.settimeout(10)
        return connection

    def send(self, requests):
        try:
            for wire, _ in requests:
                self.connection.send(wire)
        except OSError:
            pass


@flaw("waits-for-replies")
class WaitsForReplies(Client):
    """A request is sent when the reply to the one before has arrived."""

    def converse(self, requests):
        with self.connection:
            for request in requests:
                self.send([request])
                self.receive_replies([request])


@flaw("connection-for-each-request")
class ConnectionForEachRequest(Client):
    """Every request has a connection of its own."""

    def converse(self, requests):
        self.connection.close()
        for request in requests:
            self.connection = self.connect()
            super().converse([request])


# the file


@flaw("drops-last-line")
class DropsLastLine(Client):
    """A last line without a newline is dropped."""

    def split(self, content):
        return content.split(b"\n")[:-1]


@flaw("splits-at-other-ends")
class SplitsAtOtherEnds(Client):
    """Lines end at form feeds, U+0085 and U+2028, too (str.splitlines)."""

    def split(self, content):
        return [line.encode() for line in content.decode(errors="replace").splitlines()]


@flaw("first-word")
class FirstWord(Client):
    """The message is the second word of the line."""

    def parts(self, line):
        action, *words = line.split(b" ")
        return action, words[0] if words else b""


@flaw("strips-message")
class StripsMessage(Client):
    """White space around a message is removed."""

    def parts(self, line):
        action, message = super().parts(line)
        return action, message.strip()


@flaw("latin-1")
class Latin1(Client):
    """Messages are sent in Latin-1."""

    def parts(self, line):
        action, message = super().parts(line)
        return action, message.decode(errors="replace").encode("latin-1", errors="replace")


@flaw("ignores-dash")
class IgnoresDash(Client):
    """`-` is taken for the name of a file."""

    def content(self, file):
        with open(file, "rb") as input:
            return input.read()


# standard output


@flaw("strips-reply")
class StripsReply(Client):
    """White space around a reply is removed."""

    def show(self, reply):
        super().show(reply.strip())


@flaw("prints-bytes")
class PrintsBytes(Client):
    """Replies are printed as Python shows bytes: b'...'."""

    def show(self, reply):
        super().show(repr(reply).encode())


@flaw("prints-no-newline")
class PrintsNoNewline(Client):
    """Nothing ends the line of a reply."""

    def show(self, reply):
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.flush()


@flaw("wrong-order")
class WrongOrder(Client):
    """Replies are collected, and printed from the last one to the first."""

    def receive_replies(self, requests):
        for reply in reversed([self.reply(message) for _, message in requests]):
            self.show(reply)


@flaw("logs-to-standard-output")
class LogsToStandardOutput(Client):
    """A log line goes to standard output."""

    def connect(self):
        connection = super().connect()
        print("connected", flush=True)
        return connection


@flaw("errors-on-standard-output")
class ErrorsOnStandardOutput(Client):
    """Errors are printed on standard output."""

    def complain(self, message):
        print(f"client: {message}")


# the end


@flaw("0-after-early-close")
class ZeroAfterEarlyClose(Client):
    """A connection that ends too early is taken for the end of the replies."""

    def receive_replies(self, requests):
        try:
            super().receive_replies(requests)
        except Failure:
            pass


@flaw("prints-part-of-reply")
class PrintsPartOfReply(Client):
    """What has arrived of a reply is printed as if it were all of it."""

    def receive(self, length):
        received = b""
        while len(received) < length:
            piece = self.connection.recv(length - len(received))
            if not piece and length != 4 and received:
                self.show(received)
            if not piece:
                raise Failure("the server has closed the connection before the last reply")
            received += piece
        return received


@flaw("0-after-reset")
class ZeroAfterReset(Client):
    """A reset of the connection is ignored."""

    def receive_replies(self, requests):
        try:
            super().receive_replies(requests)
        except ConnectionResetError:
            pass


@flaw("0-when-refused")
class ZeroWhenRefused(Client):
    """The client exits with 0 when nobody listens."""

    def main(self):
        try:
            return super().main()
        finally:
            if self.refused:
                os._exit(0)

    refused = False

    def connect(self):
        try:
            return super().connect()
        except OSError as error:
            self.refused = error.errno == errno.ECONNREFUSED
            raise


@flaw("waits-for-the-server-to-close")
class WaitsForTheServerToClose(Client):
    """The client closes when the server has closed, which waits for the client."""

    def finish(self):
        self.connection.recv(1)


@flaw("does-not-notice-the-end")
class DoesNotNoticeTheEnd(Client):
    """Without new bytes at the end of the connection, recv is called again and again."""

    def receive(self, length):
        received = b""
        while len(received) < length:
            received += self.connection.recv(length - len(received))
            time.sleep(0 if received else 0.001)
        return received


@flaw("ipv4-only")
class Ipv4Only(Client):
    """Only IPv4 addresses are tried."""

    family = socket.AF_INET

    def connect(self):
        *_, address = socket.getaddrinfo(self.options.host, self.options.port, self.family, socket.SOCK_STREAM)[0]
        connection = socket.socket(self.family)
        connection.connect(address)
        return connection


@flaw("ipv6-only")
class Ipv6Only(Ipv4Only):
    """Only IPv6 addresses are tried, with IPv4 addresses mapped as far as they are written as numbers."""

    family = socket.AF_INET6

    def connect(self):
        if self.options.host.replace(".", "").isdigit():
            self.options.host = f"::ffff:{self.options.host}"
        return super().connect()


@flaw("first-address")
class FirstAddress(Client):
    """Only the first address of the host is tried."""

    def connect(self):
        found = socket.getaddrinfo(self.options.host, self.options.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        connection = socket.socket(family)
        connection.connect(address)
        return connection


# errors of the command line


@flaw("0-without-file")
class ZeroWithoutFile(Client):
    """A file that does not exist is taken for an empty one."""

    def content(self, file):
        try:
            return super().content(file)
        except FileNotFoundError:
            return b""


@flaw("greets-before-file")
class GreetsBeforeFile(Client):
    """Something is printed on standard output before the file is opened."""

    def content(self, file):
        if not os.path.exists(file) and file != "-":
            print(f"usage: client FILE ({file} does not exist)")
        return super().content(file)


@flaw("wraps-port")
class WrapsPort(Client):
    """A port that is no port is replaced by the default."""

    @staticmethod
    def parse(arguments):
        try:
            return Client.parse(arguments)
        except SystemExit as exit:
            if not exit.code:
                raise
        print("Bad port!", flush=True)
        sys.exit(0)


@flaw("silent")
class Silent(Client):
    """Nothing is said about errors, except by the exit code."""

    def complain(self, message):
        pass


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(FLAWS))
        sys.exit(0)
    sys.exit(FLAWS[sys.argv[1]](sys.argv[2:]).main())
