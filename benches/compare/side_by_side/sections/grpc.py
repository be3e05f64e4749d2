"""Unary gRPC calls, HTTP/2 without TLS on both sides: small messages, trailers every time."""

from ..load import check_grpc, h2load
from ..peers import haproxy, nginx, ours, stitch, subject, with_workers
from ..processes import LOAD_CORE, TEST_CORE

NGINX_GRPC = """
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} http2 backlog=4096;
    location / {{ grpc_pass grpc://up; grpc_set_header Host $host; }}
  }}"""

HAPROXY_GRPC = """
frontend in
  bind 127.0.0.1:{port} proto h2
  default_backend up
backend up
  server up 127.0.0.1:{upstream} proto h2
"""


def grpc_subjects(bench, options):
    _, up = ours(bench, "grpc", core=LOAD_CORE)
    message = bench.folder / "message"
    message.write_bytes(b"\0\0\0\0\x05hello")
    config = with_workers({"bench": {"url": f"h2c://127.0.0.1:{up}"}})
    peers = {
        "nginx": lambda: nginx(bench, TEST_CORE, NGINX_GRPC, upstream=up),
        "haproxy": lambda: haproxy(bench, HAPROXY_GRPC, upstream=up),
    }
    if options.stitch:
        peers["stitch"] = lambda: stitch(bench, options.stitch, config)
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    for name, start in peers.items():
        yield subject(name, start, path="/bench.Echo/Unary", load=h2load, check=check_grpc,
                      options=(*headers, "-d", message))
