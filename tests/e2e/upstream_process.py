"""A small HTTP/1.1 server as a process, made to be killed.

    upstream_process.py PORT COUNTER

How many requests reached it stands in the file COUNTER (8 bytes), which
outlives it: a request is counted before it is answered.
"""

import asyncio
import mmap
import struct
import sys

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"


class Connection(asyncio.Protocol):
    def __init__(self, counter):
        self._counter = counter
        self._input = b""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        *heads, self._input = (self._input + data).split(b"\r\n\r\n")
        for head in heads:
            if not head.startswith(b"GET /healthz "):
                (count,) = struct.unpack("<Q", self._counter[:8])
                self._counter[:8] = struct.pack("<Q", count + 1)
            self._transport.write(ANSWER)


async def main(port, path):
    with open(path, "r+b") as file:
        counter = mmap.mmap(file.fileno(), 8)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counter), "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
