"""A server of events (text/event-stream) that sends the next one only when it is asked to.

GET /events begins a stream, at the id after `Last-Event-ID`; POST /next sends one more event on
every stream; an event whose id is divisible by 5 is the last. Says {"port": …} when it listens.
"""

import json
import queue
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

streams = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        orders = queue.Queue()
        streams.append(orders)
        number = int(self.headers.get("last-event-id", 0))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-store")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while True:
            number += 1
            self.chunk(f"id: {number}\ndata: event {number}\n\n".encode())
            if number % 5 == 0:
                break
            orders.get()
        self.chunk(b"")
        streams.remove(orders)

    def chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def do_POST(self):
        for orders in streams:
            orders.put(None)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
