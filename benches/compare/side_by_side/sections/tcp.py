"""Bytes that nobody looks into: many small messages both ways, and answers of 1 MiB.

The messages happen to be HTTP, because wrk can say and count them. HAProxy gets buffers of 64 KiB,
which halves what large answers cost it; splicing does not help on loopback.
"""

from ..peers import NGINX_UPSTREAM, haproxy, nginx, ours, stitch, subject, with_workers
from ..processes import LOAD_CORE, free_port
from .bodies import NGINX_FILES, SIZE

HAPROXY_TCP = """
global
  tune.bufsize 65536
listen in
  mode tcp
  bind 127.0.0.1:{port}
  server up 127.0.0.1:{upstream}
"""


def tcp_subjects(bench, options):
    _, up = nginx(bench, LOAD_CORE, NGINX_UPSTREAM)
    for name, start in relays(bench, options, up):
        yield subject(name, start)


def tcp_bulk_subjects(bench, options):
    (bench.folder / "big").write_bytes(b"x" * SIZE)
    _, up = nginx(bench, LOAD_CORE, NGINX_FILES, folder=bench.folder)
    for name, start in relays(bench, options, up):
        yield subject(name, start, path="/big", expects="x" * 80, connections=16)


def relays(bench, options, up):
    yield "haproxy", lambda: haproxy(bench, HAPROXY_TCP, upstream=up)
    yield "relay", lambda: ours(bench, "relay", f"127.0.0.1:{up}")
    if options.stitch:
        yield "stitch", lambda: stitch_tcp(bench, options, up)


def stitch_tcp(bench, options, up):
    port = free_port()
    service = {"type": "tcp", "url": f"tcp://127.0.0.1:{up}", "port": port}
    process, _ = stitch(bench, options.stitch, with_workers({"bench": service}))
    return process, port
