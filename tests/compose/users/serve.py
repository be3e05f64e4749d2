"""A real service: says what it was asked, and `/buy` asks another service by its name."""

import json
import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Users(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        answer = {"edition": "first", "path": self.path, "host": self.headers["host"]}
        if self.path == "/buy":
            request = urllib.request.Request("http://payments:8002/charge", data=b"{}")
            with urllib.request.urlopen(request, timeout=5) as charge:
                answer["charge"] = json.load(charge)
                answer["source"] = charge.headers["x-stitch-source"]
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# The first process of a container has no handler of its own.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Users).serve_forever()
