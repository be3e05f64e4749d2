"""What is measured and what stands behind it: nginx, HAProxy, our own small programs, stitch.

Each function starts one and gives its process and its port. A section brings the configuration
that a peer's own manual would recommend for what is asked of it.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from .load import check, wrk
from .measure import measure, rss_mib
from .processes import LOAD_CORE, REPO, TEST_CORE, Failed, free_port, wait_for, wait_listening


@dataclass
class Subject:
    """A running thing to measure, and how to reach it."""

    name: str
    pid: int = 0
    url: str = ""
    host: str = "bench"
    connections: int = 64
    expects: str = "hello"
    check: Callable = check  # that it answers rightly
    load: Callable = wrk  # what puts it to work
    options: tuple = ()  # more options for that
    measure: Callable = measure  # what a run gives
    fresh: float = 0.0  # MiB resident before the first request
    failure: str = ""


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx-{port}.pid;
error_log stderr; events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; default_type text/plain;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {http}
}}
"""

NGINX_UPSTREAM = """server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 hello; }} }}"""

HAPROXY = """
global
  nbthread 1
  no strict-limits
  # Its pool of server connections would empty once a quarter of the descriptors is in use.
  tune.pool-low-fd-ratio 90
  tune.pool-high-fd-ratio 95
  maxconn 12000
defaults
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  http-reuse always
"""


def nginx(bench, core, http, **values):
    port = free_port()
    text = NGINX.format(folder=bench.folder, port=port, http=http.format(port=port, **values))
    conf = bench.write("nginx.conf", text)
    process = bench.start(core, "nginx", "-e", "stderr", "-p", bench.folder, "-c", conf)
    wait_listening(process, port)
    return process, port


def haproxy(bench, proxies, **values):
    port = free_port()
    conf = bench.write("haproxy.cfg", HAPROXY + proxies.format(port=port, **values))
    process = bench.start(TEST_CORE, "haproxy", "-db", "-f", conf)
    wait_listening(process, port)
    return process, port


def ours(bench, name, *args, core=TEST_CORE):
    """`hello`, `grpc` or `relay` from benches/hello."""
    port = free_port()
    binary = REPO / "target" / "release" / name
    process = bench.start(core, binary, f"127.0.0.1:{port}", *args)
    wait_listening(process, port)
    return process, port


def stitch(bench, binary, yaml, under=()):
    """Started as users do, on a JSON file (which is YAML), ready when it says so. `under` is a
    tool that runs it, such as valgrind."""
    conf = bench.write("stitch.yaml", json.dumps(yaml))
    port = free_port()
    process = bench.start(
        TEST_CORE, *under, binary, "up", conf, "--format", "json",
        "--listen", f"127.0.0.1:{port}", "--admin", "127.0.0.1:0",
    )
    wait_for(process, "the ready line", lambda: '"ready"' in process.out.read_text())
    return process, port


def subject(name, start, **reach):
    try:
        process, port = start()
    except (Failed, OSError) as failure:
        return Subject(name, failure=str(failure))
    scheme, path = reach.pop("scheme", "http"), reach.pop("path", "/")
    reach = {"fresh": rss_mib(process.pid)} | reach
    return Subject(name, process.pid, f"{scheme}://127.0.0.1:{port}{path}", **reach)


def with_workers(services, routes=None, **proxy):
    config = {"proxy": {"workers": 1, **proxy}, "services": services}
    return config | ({"routes": routes} if routes else {})


def certificate(bench):
    """A self-signed certificate and its key, and both in one file, as HAProxy wants them."""
    cert, key, both = (bench.folder / f"tls.{ending}" for ending in ("crt", "key", "pem"))
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-days", "2",
               "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=bench",
               "-addext", "subjectAltName=DNS:bench,IP:127.0.0.1", "-out", cert, "-keyout", key]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(cert.read_text() + key.read_text())
    return cert, key, both
