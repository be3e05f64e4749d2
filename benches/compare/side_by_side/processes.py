"""Processes that a run starts: pinned to a core, waited for, ended with it.

A process under test has a core to itself; peers and load generators share another one. Ports are
free ones, and only what was started here is ended.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parents[3]
TEST_CORE, LOAD_CORE = 0, 1
START_LIMIT = 20.0


class Failed(Exception):
    """A subject that cannot be measured; its row says so and the rest goes on."""


class Bench:
    """Everything this run has started, and the folder it writes to."""

    def __init__(self, stack, folder):
        self.stack, self.folder = stack, pathlib.Path(folder)

    def start(self, core, *command):
        stem = f"{pathlib.Path(command[0]).name}-{time.monotonic_ns()}"
        out, err = self.folder / f"{stem}.out", self.folder / f"{stem}.err"
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=out.open("w"), stderr=err.open("w"),
            start_new_session=True,
        )
        process.out, process.err = out, err
        self.stack.callback(end, process)
        return process

    def write(self, name, text):
        path = self.folder / f"{time.monotonic_ns()}-{name}"
        path.write_text(text)
        return path


def end(process):
    """Ends the session that `start` made: politely, then by force. It is not reaped before."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
            break


def said(process):
    return process.err.read_text().strip()[-2000:]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(process, what, condition):
    limit = time.monotonic() + START_LIMIT
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise Failed(f"ended with {process.returncode}: {said(process)}")
        if condition():
            return
        time.sleep(0.02)
    raise Failed(f"{what} not seen in {START_LIMIT:.0f} s: {said(process)}")


def wait_listening(process, port):
    def listening():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True

    wait_for(process, f"a listener on port {port}", listening)


def note(text):
    print(text, file=sys.stderr, flush=True)
