"""Mocked answers beside a bare hyper server."""

from ..peers import ours, stitch, subject, with_workers


def mock_subjects(bench, options):
    yield subject("hello (bare hyper)", lambda: ours(bench, "hello"))
    if not options.stitch:
        return
    many = [{"path": f"/e{n}/{{id}}", "response": "hello"} for n in range(1000)]
    template = {"id": "{{ request.path.id }}", "note": "order {{ request.path.id }}"}
    held = [{"path": "/a", "response": "hello", "delay": "50ms"}]
    for name, path, endpoints, more in [
        ("static", "/a", [{"path": "/a", "response": "hello"}], {}),
        ("templated", "/t/7", [{"path": "/t/{id}", "response": {"body": template}}],
         {"expects": "order 7"}),
        ("1 of 1 000 endpoints", "/e777/7", many, {}),
        ("1 000 connections, 50 ms delay", "/a", held, {"connections": 1000}),
    ]:
        config = with_workers({"bench": {"endpoints": endpoints}})
        yield subject(
            f"stitch mock, {name}",
            lambda config=config: stitch(bench, options.stitch, config),
            path=path, **more,
        )
