"""A correct client of frame, text and echo, written with asyncio: one coroutine sends, another one receives.

It half-closes when everything is sent, and reads buffered streams. Its options are those of right.py, which reads the
file and forms the requests.
"""

import asyncio
import struct
import sys

from right import Client, Failure


class Asynchronous(Client):
    def connect(self):
        return None  # converse connects

    def converse(self, requests):
        asyncio.run(self.run(requests))

    async def run(self, requests):
        reader, writer = await asyncio.open_connection(self.options.host, self.options.port)
        sender = asyncio.create_task(self.send_all(writer, requests))
        try:
            for _, message in requests:
                self.show(await self.next_reply(reader, message))
        except asyncio.IncompleteReadError:
            raise Failure("the server has closed the connection before the last reply") from None
        finally:
            sender.cancel()
            writer.close()

    async def send_all(self, writer, requests):
        try:
            for wire, _ in requests:
                writer.write(wire)
                await writer.drain()
            writer.write_eof()
        except OSError:
            pass  # the other coroutine reports it

    async def next_reply(self, reader, message):
        if self.options.protocol == "echo":
            return await reader.readexactly(len(message))
        if self.options.protocol == "text":
            return await reader.readexactly(int(await reader.readuntil(b" ")))
        return await reader.readexactly(*struct.unpack(">I", await reader.readexactly(4)))


if __name__ == "__main__":
    sys.exit(Asynchronous(sys.argv[1:]).main())
