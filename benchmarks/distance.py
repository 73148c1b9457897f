"""Puts a database far away: a proxy in a process of its own that holds every byte back for half a round trip.

    python -m benchmarks.distance SOCKET --milliseconds 40

Prints the port that it listens on, and then a line for each connection. Keep out: what is measured over it.
"""

from __future__ import annotations

import argparse
import asyncio


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, delay: float) -> None:
    """What arrives leaves `delay` seconds later, in the same order; nothing waits for what is on its way."""
    clock = asyncio.get_running_loop().time
    flying: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def land() -> None:
        while True:
            due, data = await flying.get()
            await asyncio.sleep(max(due - clock(), 0))
            if not data:
                target.close()
                return
            target.write(data)

    landing = asyncio.create_task(land())
    while data := await source.read(65536):
        flying.put_nowait((clock() + delay, data))
    flying.put_nowait((clock() + delay, b""))
    await landing


async def serve(socket: str, delay: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        print("connected", flush=True)
        # TCP's own first trip there and back.
        await asyncio.sleep(2 * delay)
        server_reader, server_writer = await asyncio.open_unix_connection(socket)
        await asyncio.gather(pump(reader, server_writer, delay), pump(server_reader, writer, delay))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--milliseconds", type=float, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.socket, given.milliseconds / 2000))


if __name__ == "__main__":
    main()
