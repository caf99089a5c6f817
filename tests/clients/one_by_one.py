"""A client of frame, text and echo that sends a request when it has the reply to the one before.

That is correct for versions 1 and 2, which send one request. Version 3 pipelines its requests; this one does not, and is
correct otherwise. It uses buffered files in place of sockets, and no thread. Its options are those of right.py.
"""

import sys

from right import Client, Failure


class OneByOne(Client):
    def converse(self, requests):
        with self.connection, self.connection.makefile("rwb") as self.stream:
            for wire, message in requests:
                self.stream.write(wire)
                self.stream.flush()
                self.show(self.reply(message))

    def receive(self, length):
        data = self.stream.read(length)
        if len(data) < length:
            raise Failure("the server has closed the connection before the last reply")
        return data


if __name__ == "__main__":
    sys.exit(OneByOne(sys.argv[1:]).main())
