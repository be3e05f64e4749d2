"""Answers and requests of 1 MiB: what it costs to carry bytes.

nginx gets buffers that hold a good piece of a body and no files on disk: with its defaults it
spools to one. Uploads are passed on as they come, which is what stitch always does.
"""

from ..peers import nginx, ours, stitch, subject, with_workers
from ..processes import LOAD_CORE, TEST_CORE

SIZE = 1 << 20

NGINX_FILES = """server {{
  listen 127.0.0.1:{port} backlog=4096; root {folder}; sendfile on;
}}"""

NGINX_PROXY = """
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; client_max_body_size 0; client_body_buffer_size 64k;
    proxy_buffers 16 32k; proxy_buffer_size 32k; proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0; proxy_request_buffering off;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host $host; }}
  }}"""

UPLOAD = """wrk.method = "POST"
wrk.body = string.rep("x", {size})
"""


def download_subjects(bench, options):
    (bench.folder / "big").write_bytes(b"x" * SIZE)
    _, up = nginx(bench, LOAD_CORE, NGINX_FILES, folder=bench.folder)
    for name, start in proxies(bench, options, up):
        yield subject(name, start, path="/big", expects="x" * 80, connections=16)


def upload_subjects(bench, options):
    body = bench.write("upload.lua", UPLOAD.format(size=SIZE))
    # nginx would answer before it has come; a server of our own reads it all.
    _, up = ours(bench, "hello", core=LOAD_CORE)
    for name, start in proxies(bench, options, up):
        yield subject(name, start, options=("-s", body), connections=16)


def proxies(bench, options, up):
    config = with_workers({"bench": {"url": f"http://127.0.0.1:{up}"}})
    yield "nginx", lambda: nginx(bench, TEST_CORE, NGINX_PROXY, upstream=up)
    yield "relay (no HTTP)", lambda: ours(bench, "relay", f"127.0.0.1:{up}")
    if options.stitch:
        yield "stitch", lambda: stitch(bench, options.stitch, config)
