"""A small answer through each proxy: what a request costs."""

from ..peers import NGINX_UPSTREAM, haproxy, nginx, ours, stitch, subject, with_workers
from ..processes import LOAD_CORE, TEST_CORE

NGINX_PROXY = """
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host $host; }}
  }}"""

HAPROXY_PROXY = """
frontend in
  bind 127.0.0.1:{port}
  default_backend up
backend up
  server up 127.0.0.1:{upstream}
"""


def proxy_subjects(bench, options):
    _, up = nginx(bench, LOAD_CORE, NGINX_UPSTREAM)
    yield subject("nginx", lambda: nginx(bench, TEST_CORE, NGINX_PROXY, upstream=up))
    yield subject("haproxy", lambda: haproxy(bench, HAPROXY_PROXY, upstream=up))
    yield subject("relay (no HTTP)", lambda: ours(bench, "relay", f"127.0.0.1:{up}"))
    if options.stitch:
        config = with_workers({"bench": {"url": f"http://127.0.0.1:{up}"}})
        yield subject("stitch", lambda: stitch(bench, options.stitch, config))
