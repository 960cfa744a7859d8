"""`sprat study mmlu-pro` as a command: 12,002 questions, three models, at least 15 candidates; seconds and memory.

Bars: under 60 s on two cores, under 1 GB at the peak. Memory is the sum over the command and its workers, sampled five
times a second: what each holds for itself, and its part of what they share (PSS), since workers are forked.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measured import header, table, write

MODELS = [
    "--small",
    "Phi-3-mini-4k-instruct",
    "--large",
    "gemini-1.5-flash-002",
    "--peers",
    "Meta-Llama-3_1-8B-Instruct",
]
SECONDS, MEGABYTES, CANDIDATES = 60.0, 1000.0, 15
EVERY = 0.2


def family(pid: int) -> list[int]:
    """The process and all below it."""
    try:
        below = [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(g for c in below for g in family(c))]


def memory(pid: int, what: str) -> float:
    """A process's memory in MB, by one of the kernel's counts (Pss, Rss); 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{what}:")), 0) * 1024 / 1e6


def run(arguments: list[str], cores: int) -> dict[str, Any]:
    """Run the command on so many cores; seconds, CPU seconds, peaks of memory, and what the study says of itself."""
    before, load = resource.getrusage(resource.RUSAGE_CHILDREN), os.getloadavg()[0]
    kept = sorted(os.sched_getaffinity(0))[:cores]
    peak = {"Pss": 0.0, "Rss": 0.0}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "study"
        command = [sys.executable, "-c", "import sys; from sprat.cli import main; sys.exit(main())"]
        process = subprocess.Popen(
            [*command, *arguments, "--out", str(out)],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SPRAT_CACHE": folder},
            preexec_fn=lambda: os.sched_setaffinity(0, kept),
        )
        while process.poll() is None:
            for what in peak:
                peak[what] = max(peak[what], sum(memory(p, what) for p in family(process.pid)))
            time.sleep(EVERY)
        seconds = time.monotonic() - began
        if process.returncode:
            raise SystemExit(f"the command ended with {process.returncode}")
        told = json.loads((out / "study.json").read_text())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(seconds, 1),
        "cpu seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak MB, shared counted once": round(peak["Pss"]),
        "peak MB, shared counted per process": round(peak["Rss"]),
        "load before": round(load, 1),
        "load after": round(os.getloadavg()[0], 1),
        "rows": told["rows"],
        "candidates": sum(w["kind"] != "oracle" for w in told["ways"]),
        "verdict": told["verdict"],
    }


def main() -> int:
    """Print the figures; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="record the results")
    asked, began = parser.parse_args(), time.monotonic()
    found = run(["study", "mmlu-pro", *MODELS], asked.cores)
    missed = [
        name
        for name, held in (
            (f"under {SECONDS:g} s", found["seconds"] < SECONDS),
            (f"under {MEGABYTES:g} MB", found["peak MB, shared counted once"] < MEGABYTES),
            (f"at least {CANDIDATES} candidates", found["candidates"] >= CANDIDATES),
            ("12,002 questions", found["rows"] == 12002),
        )
        if not held
    ]
    text = [
        "# How long a study takes",
        f"`sprat study mmlu-pro {' '.join(MODELS)}`, {asked.cores} cores, from a fresh process to the page on disk.",
        f"Bars: under {SECONDS:g} s, under {MEGABYTES:g} MB (what forked workers share counted once). The load average",
        f"before was {found['load before']}, after {found['load after']}; the command itself adds about {asked.cores}.",
        "What is above that ran beside it on the same cores.",
        "",
        *table([{"measured": k, "value": str(v)} for k, v in found.items()]),
        f"Missed: {', '.join(missed) or 'none'}.",
    ]
    print("\n".join(text[1:]))
    if asked.write:
        about = header("python benchmarks/study_speed.py --write", 0, time.monotonic() - began)
        write("study_speed", {"about": about, "found": found, "missed": missed}, text)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
