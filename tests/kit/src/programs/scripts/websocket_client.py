"""What a WebSocket carries, told as JSON: URL, then the proxy's port, and how to reach the URL
through it: `reverse` connects there instead of to the URL's host, `tunnel` asks for CONNECT."""

import asyncio
import hashlib
import json
import os
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def closing(open_socket, order, *arguments):
    """The close code and reason as this side sees them."""
    async with open_socket() as socket:
        if order == "server":
            await socket.send("close " + " ".join(map(str, arguments)))
        else:
            await socket.close(*arguments)
        try:
            await socket.recv()
        except ConnectionClosed:
            pass
        return [socket.close_code, socket.close_reason]


async def main():
    url, port, way = sys.argv[1:]
    limits = {"max_size": 16 << 20, "ping_interval": None, "open_timeout": 20, "close_timeout": 20}
    reach = {"proxy": None, "host": "127.0.0.1", "port": int(port)}
    if way == "tunnel":
        reach = {"proxy": f"http://127.0.0.1:{port}"}

    def open_socket():
        return connect(url, subprotocols=["chat.v1"], **limits, **reach)

    told = {}
    async with open_socket() as socket:
        told["subprotocol"] = socket.subprotocol
        texts = ["one", "", "grüße"]
        for text in texts:
            await socket.send(text)
        told["texts"] = [await socket.recv() for _ in texts]
        await (await socket.ping(b"from the client"))
        await socket.send("ping")
        told["ping"] = await socket.recv()
        await socket.send(["in ", "three ", "pieces"])
        told["from_pieces"] = await socket.recv()
        await socket.send("pieces a b c")
        told["in_pieces"] = [piece async for piece in socket.recv_streaming()]
        large = os.urandom(10 << 20)
        await socket.send(large)
        back = await socket.recv()
        told["large"] = [len(back), hashlib.sha256(back).digest() == hashlib.sha256(large).digest()]
    told["closed_by_client"] = await closing(open_socket, "client", 4001, "bye")
    told["closed_by_server"] = await closing(open_socket, "server", 4002, "go away")
    print(json.dumps(told))


asyncio.run(main())
