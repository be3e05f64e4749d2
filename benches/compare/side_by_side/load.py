"""Load generators: what they are told, and what they report."""

import contextlib
import http.client
import pathlib
import re
import ssl
import subprocess
import tempfile

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


def h2load(subject, seconds):
    """As many connections as the subject wants, each with eight streams at a time."""
    with tempfile.TemporaryDirectory(prefix="stitch-h2load-") as folder:
        log = pathlib.Path(folder, "log")
        command = ["taskset", "-c", str(LOAD_CORE), "h2load", "-t1", f"-c{subject.connections // 8}",
                   "-m8", "-D", str(seconds), f"--log-file={log}",
                   "-H", f":authority: {subject.host}", *subject.options, subject.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        # Per request: when it began, its status, and how long it took in µs.
        took = sorted(int(line.rsplit("\t", 1)[1]) for line in log.read_text().splitlines())
    text = done.stdout
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    if done.returncode or not counts:
        raise Failed(done.stderr.strip() or f"h2load ended with {done.returncode}")
    count, *bad = map(int, counts.groups())
    if any(bad) or not count or not took:
        raise Failed(counts[0])
    p50, p99 = (took[len(took) * part // 100] / 1000 for part in (50, 99))
    return {"count": count, "rate": count / seconds, "p50": p50, "p99": p99}


def check(subject):
    """A fast wrong answer is no result."""
    scheme, address, path = re.fullmatch(r"(https?)://([^/]+)(/.*)", subject.url).groups()
    if scheme == "https":
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(address, timeout=10, context=trusting)
    else:
        connection = http.client.HTTPConnection(address, timeout=10)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers={"Host": subject.host, **said(subject)})
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
        except (http.client.HTTPException, ssl.SSLError) as broken:
            raise Failed(f"answers no HTTP: {broken!r}") from broken
    if answer.status != 200 or subject.expects not in body:
        raise Failed(f"answers {answer.status} with {body[:80]!r}, not {subject.expects!r}")


def said(subject):
    """The headers among the subject's options."""
    pairs = zip(subject.options, subject.options[1:])
    return dict(header.split(": ", 1) for option, header in pairs if option == "-H")


def check_grpc(subject):
    """One call by hand: the message and `grpc-status: 0` have to come back."""
    command = ["curl", "-q", "-sS", "--max-time", "10", "--http2-prior-knowledge", "-D", "-", "-H",
               f"Host: {subject.host}", *subject.options[:-2], "--data-binary",
               f"@{subject.options[-1]}", subject.url]
    done = subprocess.run(command, capture_output=True, timeout=60)
    if done.returncode or b"hello" not in done.stdout or b"grpc-status: 0" not in done.stdout:
        raise Failed(f"answers {done.stdout[:200]!r} {done.stderr[-200:]!r}")
