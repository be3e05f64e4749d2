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


# Keys of a sample: what stands above the column, and digits after the point.
COLUMNS = {
    "cpu": ("CPU µs/request", 1),
    "each": ("KiB/connection", 2),
    "rate": ("requests/s", 0),
    "p50": ("p50 ms", 2),
    "p99": ("p99 ms", 2),
    "rss": ("RSS MiB", 1),
}


def table(subjects, medians):
    base = subjects[0].name
    keys = [key for key in next(iter(medians.values()), {"cpu": 0}) if key != "ratio"]
    titles = [COLUMNS[key][0] for key in keys]
    lines = [f"| | {' | '.join([titles[0], f'× {base}', *titles[1:]])} |",
             "|---|" + "---:|" * (len(keys) + 1)]
    for one in subjects:
        sample = medians.get(one.name)
        if one.failure or not sample:
            reason = " ".join((one.failure or "no sample").split()).replace("|", "/")
            lines.append(f"| {one.name} | not measured: {reason[:200]} |" + " |" * len(keys))
            continue
        figures = [f"{sample[key]:.{COLUMNS[key][1]}f}" for key in keys]
        ratio = f"{sample['ratio']:.2f}" if sample["ratio"] is not None else "–"
        lines.append(f"| {' | '.join([one.name, figures[0], ratio, *figures[1:]])} |")
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
