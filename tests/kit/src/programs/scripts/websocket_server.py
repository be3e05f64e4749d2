"""A WebSocket server that says everything back.

Says {"event": "listening", "port": …} when it listens, {"event": "opened", "headers": …} and
{"event": "closed", "code": …, "reason": …}. Some texts are orders: `ping` answers `pong came` when
the client has answered a ping, `close CODE REASON` closes, `pieces A B …` answers in fragments.
"""

import asyncio
import json

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


def say(**event):
    print(json.dumps(event), flush=True)


async def obey(socket, message):
    order, *words = message.split(" ") if isinstance(message, str) else ("",)
    if order == "ping":
        await (await socket.ping(b"from the server"))
        await socket.send("pong came")
    elif order == "close":
        await socket.close(int(words[0]), " ".join(words[1:]))
    elif order == "pieces":
        await socket.send(words)
    else:
        await socket.send(message)


async def answer(socket):
    request = socket.request
    say(event="opened", path=request.path, headers=[list(pair) for pair in request.headers.raw_items()])
    try:
        async for message in socket:
            await obey(socket, message)
    except ConnectionClosed:
        pass
    await socket.wait_closed()
    say(event="closed", code=socket.close_code, reason=socket.close_reason)


async def main():
    limits = {"max_size": 16 << 20, "ping_interval": None, "compression": None}
    async with serve(answer, "127.0.0.1", 0, subprotocols=["chat.v1"], **limits) as server:
        say(event="listening", port=server.sockets[0].getsockname()[1])
        await server.serve_forever()


asyncio.run(main())
