"""The services `echo` and `frame` in plain Python: asyncio_server.py PORT echo|frame."""

import asyncio
import struct
import sys

HEADER = struct.Struct("!I")
ACTIONS = {1: str.upper, 2: str.lower, 4: lambda text: text[::-1]}


def reply(code, data):
    try:
        text = ACTIONS[code](data.decode()).encode()
    except (KeyError, UnicodeDecodeError):
        text = b"error"
    return HEADER.pack(len(text)) + text


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Frame(Echo):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.pending = bytearray()

    def data_received(self, data):
        pending, at, replies = self.pending, 0, []
        pending += data
        while len(pending) - at >= HEADER.size:
            (header,) = HEADER.unpack_from(pending, at)
            end = at + HEADER.size + (header & 0x7FFFFFF)
            if len(pending) < end:
                break
            replies.append(reply(header >> 27, pending[at + HEADER.size : end]))
            at = end
        del pending[:at]
        if replies:
            self.transport.write(b"".join(replies))


async def main(port, protocol):
    service = {"echo": Echo, "frame": Frame}[protocol]
    server = await asyncio.get_running_loop().create_server(service, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
