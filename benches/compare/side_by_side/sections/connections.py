"""Connections themselves: a new one for each request, and ten thousand that wait.

Idle connections have each had one answer. A few busy ones beside them show whether those that
wait cost time as well as memory.
"""

import contextlib
import socket

from ..measure import measure, rss_mib
from ..peers import NGINX_UPSTREAM, haproxy, nginx, stitch, subject, with_workers
from ..processes import LOAD_CORE, TEST_CORE, Failed
from .proxy import HAPROXY_PROXY, NGINX_PROXY

IDLE = 10_000
LIMITS = {"connections": IDLE + 2_000, "idle": "1h"}


def proxies(bench, options):
    _, up = nginx(bench, LOAD_CORE, NGINX_UPSTREAM)
    yield "nginx", lambda: nginx(bench, TEST_CORE, NGINX_PROXY, upstream=up)
    yield "haproxy", lambda: haproxy(bench, HAPROXY_PROXY, upstream=up)
    if options.stitch:
        config = with_workers({"bench": {"url": f"http://127.0.0.1:{up}"}}, limits=LIMITS)
        yield "stitch", lambda: stitch(bench, options.stitch, config)


def new_subjects(bench, options):
    for name, start in proxies(bench, options):
        yield subject(name, start, options=("-H", "Connection: close"))


def idle_subjects(bench, options):
    for name, start in proxies(bench, options):
        yield subject(name, start, measure=beside_idle)


def beside_idle(subject, seconds):
    with contextlib.ExitStack() as stack:
        for number in range(IDLE):
            try:
                stack.enter_context(asked(subject))
            except OSError as failure:
                raise Failed(f"connection {number + 1}: {failure}") from failure
        each = (rss_mib(subject.pid) - subject.fresh) * 1024 / IDLE
        return {"each": each, **measure(subject, seconds)}


def asked(subject):
    """A connection that has had its answer and stays open."""
    address, port = subject.url.split("/")[2].split(":")
    connection = socket.create_connection((address, int(port)), 10)
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {subject.host}\r\n\r\n".encode())
    seen = b""
    while not seen.endswith(b"hello"):
        piece = connection.recv(4096)
        if not piece:
            raise OSError(f"closed after {seen[-80:]!r}")
        seen += piece
    return connection
