"""TLS that ends at the proxy: kept connections, a handshake per request, and HTTP/2 inside it.

Each peer chooses what it prefers; with these clients that is TLS 1.3 with AES-256-GCM for all.
wrk resumes no sessions, so every handshake is a whole one. The upstream speaks HTTP/1.1.
"""

from ..load import h2load
from ..peers import NGINX_UPSTREAM, certificate, haproxy, nginx, stitch, subject, with_workers
from ..processes import LOAD_CORE, TEST_CORE

NGINX_TLS = """
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} ssl http2 backlog=4096;
    ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host $host; }}
  }}"""

HAPROXY_TLS = """
frontend in
  bind 127.0.0.1:{port} ssl crt {both} alpn h2,http/1.1
  default_backend up
backend up
  server up 127.0.0.1:{upstream}
"""


def proxies(bench, options):
    _, up = nginx(bench, LOAD_CORE, NGINX_UPSTREAM)
    cert, key, both = certificate(bench)
    yield "nginx", lambda: nginx(bench, TEST_CORE, NGINX_TLS, upstream=up, cert=cert, key=key)
    yield "haproxy", lambda: haproxy(bench, HAPROXY_TLS, upstream=up, both=both)
    if options.stitch:
        tls = {"cert": str(cert), "key": str(key)}
        config = with_workers({"bench": {"url": f"http://127.0.0.1:{up}"}}, tls=tls)
        yield "stitch", lambda: stitch(bench, options.stitch, config)


def tls_subjects(bench, options):
    for name, start in proxies(bench, options):
        yield subject(name, start, scheme="https")


def handshake_subjects(bench, options):
    for name, start in proxies(bench, options):
        yield subject(name, start, scheme="https", options=("-H", "Connection: close"))


def h2_subjects(bench, options):
    for name, start in proxies(bench, options):
        yield subject(name, start, scheme="https", load=h2load)
