"""Services in plain Python: asyncio_server.py PORT echo|frame|discard|chargen."""

import asyncio
import struct
import sys

HEADER = struct.Struct("!I")
# RFC 864: lines of 72 of the 95 printable characters, each line beginning one later; then they repeat.
PRINTABLE = bytes(range(0x20, 0x7F)) * 2
PERIOD = b"".join(PRINTABLE[at : at + 72] + b"\r\n" for at in range(95))
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


class Discard(Echo):
    def data_received(self, data):
        pass


class Chargen(Discard):
    def connection_made(self, transport):
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=len(PERIOD) * 8)
        self.resume_writing()

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        self.generate()

    def generate(self):
        if not self.paused and not self.transport.is_closing():
            self.transport.write(PERIOD * 8)
            # other clients have their turn also if this one takes everything at once
            asyncio.get_running_loop().call_soon(self.generate)


async def main(port, protocol):
    service = {"echo": Echo, "frame": Frame, "discard": Discard, "chargen": Chargen}[protocol]
    server = await asyncio.get_running_loop().create_server(service, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
