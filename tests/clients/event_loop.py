"""A correct client of frame, text and echo, written with one thread and select(2).

It sends all requests as one piece, as far as the server takes them, and takes the replies out of a buffer. Its options
are those of right.py, which reads the file and forms the requests.
"""

import select
import struct
import sys

from right import Client, Failure


class EventLoop(Client):
    def converse(self, requests):
        with self.connection:
            self.connection.setblocking(False)
            self.exchange(requests)

    def exchange(self, requests):
        unsent = memoryview(b"".join(wire for wire, _ in requests))
        messages, received = [message for _, message in requests], bytearray()
        while messages:
            readable, writable, _ = select.select([self.connection], [self.connection] if unsent else [], [])
            if writable:
                unsent = unsent[self.send_some(unsent) :]
            if not readable:
                continue
            piece = self.connection.recv(1 << 16)
            received += piece
            while messages and (bounds := self.bounds(received, messages[0])):
                self.show(bytes(received[bounds[0] : bounds[1]]))
                del received[: bounds[1]], messages[0]
            if not piece and messages:
                raise Failure("the server has closed the connection before the last reply")

    def send_some(self, unsent):
        try:
            return self.connection.send(unsent)
        except (BrokenPipeError, ConnectionResetError):
            return len(unsent)  # recv reports it, behind the replies that have arrived

    def bounds(self, received, message):
        """Where the text of the first reply begins and ends, if it has arrived."""
        begin, length = 0, len(message)
        if self.options.protocol == "text":
            if (begin := received.find(b" ") + 1) == 0:
                return None
            length = int(received[:begin])
        elif self.options.protocol != "echo":
            if len(received) < (begin := 4):
                return None
            length = struct.unpack_from(">I", received)[0]
        return (begin, begin + length) if len(received) >= begin + length else None


if __name__ == "__main__":
    sys.exit(EventLoop(sys.argv[1:]).main())
