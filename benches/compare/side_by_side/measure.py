"""Figures of a process under load, and the rounds that give one figure per subject.

CPU time is read from /proc, for the process and all its descendants. Subjects take turns within
each round, in another order each time; every figure is the median over the rounds.
"""

import os
import pathlib
import random
import re
import statistics
from dataclasses import dataclass

from .load import check, wrk
from .processes import Failed, note

TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Sample:
    """One run of the load generator against one subject."""

    cpu: float  # µs per request
    rate: float  # requests per second
    p50: float  # ms
    p99: float  # ms
    rss: float  # MiB


def family(pid):
    """A process and all its descendants."""
    found = [pid]
    for one in found:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(map(int, fields[11:15]))  # utime, stime, and those of reaped children
    return total / TICK


def rss_mib(pid):
    status = (pathlib.Path(f"/proc/{one}/status").read_text() for one in family(pid))
    return sum(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) for text in status) / 1024


def measure(subject, seconds):
    before = cpu_seconds(subject.pid)
    count, rate, p50, p99 = wrk(subject, seconds)
    cpu = (cpu_seconds(subject.pid) - before) / count * 1e6
    return Sample(cpu, rate, p50, p99, rss_mib(subject.pid))


def compare(subjects, options):
    """Rounds with the subjects taking turns; medians by subject name."""
    samples = {one.name: [] for one in subjects}
    for number in range(options.rounds + 1):
        # Who comes first in a round, or after whom, matters by some percent.
        for one in random.Random(number).sample(subjects, len(subjects)):
            if one.failure:
                continue
            try:
                if not number:
                    check(one)
                # Round 0 warms caches, pools and allocators and is not counted.
                sample = measure(one, options.seconds if number else 1)
            except (Failed, OSError) as failure:
                one.failure = str(failure)
                continue
            if number:
                samples[one.name].append(sample)
                note(f"round {number}: {one.name}: {sample.cpu:.2f} µs, {sample.rate:.0f}/s")
    return {
        name: Sample(*(statistics.median(column) for column in zip(*map(columns, taken))))
        for name, taken in samples.items() if taken
    }


def columns(sample):
    return sample.cpu, sample.rate, sample.p50, sample.p99, sample.rss
