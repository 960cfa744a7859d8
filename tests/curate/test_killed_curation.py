"""A run that is killed goes on, with the same bytes as one that was not, however many workers judge."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = "import sys; from sprat.cli import main; raise SystemExit(main(sys.argv[1:]))"


def told(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def command(source: Path, out: Path, workers: int) -> list[str]:
    said = ["curate", str(source), "--out", str(out), "--workers", str(workers), "--json"]
    return [sys.executable, "-c", RUN, *said]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    draw = random.Random(1)
    words = ["the", "of", "and", "that", "river", "stone", "walks", "to", "be", "with", "have", "a", "1", "#", "house"]
    rows = [{"text": ". ".join(" ".join(draw.choices(words, k=9)) for _ in range(30))} for _ in range(8000)]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    subprocess.run(command(source, tmp_path / "whole", 1), check=True, capture_output=True)
    out, kills = tmp_path / "out", 0
    for _ in range(30):
        process = subprocess.Popen(command(source, out, 2), stdout=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + draw.uniform(0.8, 2.5)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        if process.wait() == 0:
            break
    else:
        subprocess.run(command(source, out, 2), check=True, capture_output=True)
    assert kills >= 1
    assert told(out) == told(tmp_path / "whole")
