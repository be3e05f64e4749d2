"""Load generators: what they are told, and what they report."""

import contextlib
import http.client
import re
import subprocess

from .processes import LOAD_CORE, Failed


def milliseconds(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def wrk(subject, seconds):
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{subject.connections}",
               f"-d{seconds}s", "--timeout", "10s", "--latency",
               "-H", f"Host: {subject.host}", *subject.options, subject.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    text = done.stdout
    bad = re.search(r"(Non-2xx.*|Socket errors:.*)", text)
    if done.returncode or bad:
        raise Failed(bad[1] if bad else done.stderr.strip() or f"wrk ended with {done.returncode}")
    count = int(re.search(r"(\d+) requests in", text)[1])
    if not count:
        raise Failed("not one request was answered")
    latency = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", text, re.M))
    if set(latency) != {"50", "99"}:
        raise Failed(f"wrk printed no percentiles:\n{text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    p50, p99 = milliseconds(latency["50"]), milliseconds(latency["99"])
    return {"count": count, "rate": rate, "p50": p50, "p99": p99}


def check(subject):
    """A fast wrong answer is no result."""
    address, path = re.fullmatch(r"http://([^/]+)(/.*)", subject.url).groups()
    connection = http.client.HTTPConnection(address, timeout=10)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers={"Host": subject.host})
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
        except http.client.HTTPException as broken:
            raise Failed(f"answers no HTTP: {broken!r}") from broken
    if answer.status != 200 or subject.expects not in body:
        raise Failed(f"answers {answer.status} with {body[:80]!r}, not {subject.expects!r}")
