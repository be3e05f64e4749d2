"""What each policy adds to a proxied request, and what all those of the aim cost together.

No policy does anything but watch: limits are never reached, nothing fails, and nobody waits. The
clients say what makes a policy look twice: an origin, a key, an `accept-encoding`.
"""

import hashlib

from ..peers import nginx, stitch, subject, with_workers
from ..processes import LOAD_CORE, TEST_CORE, free_port
from .proxy import NGINX_PROXY

TWO_PORTS = """server {{ listen 127.0.0.1:{port} backlog=4096; listen 127.0.0.1:{other} backlog=4096;
  location / {{ return 200 hello; }} }}"""

KEY = "bench"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
ORIGIN = "http://localhost:3000"

TIMEOUTS = {"timeout": {"first_byte": "30s", "per_try": "30s", "request": "60s"}}
RETRY = {"retry": 2}
BREAKER = {"breaker": True}
CONCURRENCY = {"concurrency": {"max": 1024}}
RATE_LIMIT = {"rate_limit": {"rate": "1000000/s", "by": "client_ip"}}
BALANCE = {"balance": "least_request"}
HEADERS = {"headers": {
    "request": {"remove": ["x-debug"], "set": {"x-env": "bench", "x-from": "{{ client.ip }}"}},
    "response": {"set": {"x-served-by": "stitch"}},
}}
AIM = TIMEOUTS | RETRY | BREAKER | CONCURRENCY | RATE_LIMIT | BALANCE | HEADERS

# By what a row is called: the policies, and the headers of its requests.
EACH = {
    "timeouts": (TIMEOUTS, {}),
    "retry": (RETRY, {}),
    "breaker": (BREAKER, {}),
    "concurrency": (CONCURRENCY, {}),
    "rate_limit by client_ip": (RATE_LIMIT, {}),
    "least_request of two": (BALANCE, {}),
    "headers both ways": (HEADERS, {}),
    "all of these": (AIM, {}),
    "cors": ({"cors": {"origins": [ORIGIN]}}, {"Origin": ORIGIN}),
    "compression of nothing": ({"compression": True}, {"Accept-Encoding": "gzip"}),
    "auth by api_key": ({"auth": {"api_key": {"keys": {"bench": f"sha256:{DIGEST}"}}}},
                        {"X-Api-Key": KEY}),
}


def governed(policies, urls):
    """A service with these policies: at the first url, or at all of them where there is a choice."""
    return {**policies, "urls": urls if "balance" in policies else urls[:1]}


def policy_subjects(bench, options):
    # One process however many endpoints: of two, each would sleep more often, and who sends pays
    # for waking it.
    ports = [free_port()]
    ports.append(nginx(bench, LOAD_CORE, TWO_PORTS, other=ports[0])[1])
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    rows = {"plain": ({}, {}), **EACH} if options.stitch else {}
    for name, (policies, headers) in rows.items():
        config = with_workers({"bench": governed(policies, urls)})
        said = [part for header in headers.items() for part in ("-H", ": ".join(header))]
        yield subject(f"stitch, {name}", lambda config=config: stitch(bench, options.stitch, config),
                      options=said)
    yield subject("nginx", lambda: nginx(bench, TEST_CORE, NGINX_PROXY, upstream=ports[0]))
