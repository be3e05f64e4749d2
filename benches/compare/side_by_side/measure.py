"""Figures of a process under load, and the rounds that give one figure per subject.

CPU time is read from /proc, for the process and all its descendants. Subjects take turns within
each round, in another order each time; every figure is the median over the rounds, that of the
ratios to the first subject too.
"""

import os
import pathlib
import random
import re
import statistics

from .processes import Failed, note

TICK = os.sysconf("SC_CLK_TCK")


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
    """One run of the subject's load: its figures by column, the one to compare first."""
    before = cpu_seconds(subject.pid)
    told = subject.load(subject, seconds)
    cpu = (cpu_seconds(subject.pid) - before) / told.pop("count") * 1e6
    return {"cpu": cpu, **told, "rss": rss_mib(subject.pid)}


def compare(subjects, options):
    """Rounds with the subjects taking turns; medians by subject name, and of the first figure how it
    compares with the first subject's of the same round, which a noisy minute hits as well."""
    samples = {one.name: {} for one in subjects}
    for number in range(options.rounds + 1):
        # Who comes first in a round, or after whom, matters by some percent.
        for one in random.Random(number).sample(subjects, len(subjects)):
            if one.failure:
                continue
            try:
                if not number:
                    one.check(one)
                # Round 0 warms caches, pools and allocators and is not counted.
                sample = one.measure(one, options.seconds if number else 1)
            except (Failed, OSError) as failure:
                one.failure = str(failure)
                continue
            if number:
                samples[one.name][number] = sample
                figures = ", ".join(f"{key} {value:.2f}" for key, value in sample.items())
                note(f"round {number}: {one.name}: {figures}")
    base = samples[subjects[0].name]
    return {name: medians(taken, base) for name, taken in samples.items() if taken}


def medians(taken, base):
    rounds = list(taken.values())
    first, *_ = keys = list(rounds[0])
    ratios = [one[first] / base[number][first] for number, one in taken.items() if number in base]
    found = {key: statistics.median(one[key] for one in rounds) for key in keys}
    return found | {"ratio": statistics.median(ratios) if ratios else None}
