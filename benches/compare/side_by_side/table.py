"""Tables: what is printed, and how it gets into the documentation."""

import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys

from .processes import REPO

DOC = REPO / "docs" / "benchmarking.md"


def table(subjects, medians):
    base = subjects[0].name
    lines = [f"| | CPU µs/request | × {base} | requests/s | p50 ms | p99 ms | RSS MiB |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    for one in subjects:
        sample, first = medians.get(one.name), medians.get(base)
        if one.failure or not sample:
            reason = " ".join((one.failure or "no sample").split()).replace("|", "/")
            lines.append(f"| {one.name} | not measured: {reason[:200]} | | | | | |")
            continue
        ratio = f"{sample.cpu / first.cpu:.2f}" if first else "–"
        lines.append(f"| {one.name} | {sample.cpu:.1f} | {ratio} | {sample.rate:.0f} "
                     f"| {sample.p50:.2f} | {sample.p99:.2f} | {sample.rss:.1f} |")
    return "\n".join(lines)


def circumstances(options):
    model = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    git = ["git", "-C", str(REPO)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    command = f"benches/compare/compare --seconds {options.seconds} --rounds {options.rounds}"
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, "
            f"Linux {platform.release()}; {datetime.date.today()}, commit "
            f"{commit.stdout.strip()}; `{command}`")


def write(section, text):
    start, stop = f"<!-- compare:{section}:begin -->", f"<!-- compare:{section}:end -->"
    page = DOC.read_text()
    if start not in page or stop not in page:
        sys.exit(f"{DOC.relative_to(REPO)}: no markers for the section {section}")
    before, rest = page.split(start, 1)
    after = rest.split(stop, 1)[1]
    DOC.write_text(f"{before}{start}\n{text}\n{stop}{after}")
