"""Whether any of it depends on how much is configured."""

from ..peers import NGINX_UPSTREAM, nginx, stitch, subject, with_workers
from ..processes import LOAD_CORE


def size_subjects(bench, options):
    if not options.stitch:
        return
    _, up = nginx(bench, LOAD_CORE, NGINX_UPSTREAM)

    def services(count, hit):
        # The others are never called, so nobody needs to listen there.
        ports = [up if n == hit else 1024 + n for n in range(count)]
        return with_workers({f"s{n}": {"url": f"http://127.0.0.1:{p}"} for n, p in enumerate(ports)})

    def routes(count):
        table = [{"match": f"/r{n}/**", "to": "up"} for n in range(count)]
        return with_workers({"up": {"url": f"http://127.0.0.1:{up}"}}, table)

    for name, config, host, path in [
        ("1 service", services(1, 0), "s0", "/"),
        ("200 services", services(200, 137), "s137", "/"),
        ("1 route", routes(1), "any.test", "/r0/x"),
        ("1 000 routes", routes(1000), "any.test", "/r777/x"),
    ]:
        yield subject(
            f"stitch, {name}",
            lambda config=config: stitch(bench, options.stitch, config), host=host, path=path,
        )
