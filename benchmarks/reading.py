"""How long reading takes and how much memory: MMLU-Pro's wide table, and a JSONL file of about 200 MB made here.

    SPRAT_DATA=... python benchmarks/reading.py

Each is read in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REQUESTS, MODELS, WORDS = 50_000, ("small", "medium", "large"), 200


def made(path: Path) -> None:
    """Write 150,000 calls of about 1.4 kB each."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(REQUESTS):
            prompt = f"Question {i}: " + " ".join(f"word{(i * 31 + j) % 997}" for j in range(20))
            for model in MODELS:
                reply = f"{model} says " + " ".join(f"term{(i * 17 + j) % 991}" for j in range(WORDS - 60))
                row = {"id": str(i), "prompt": prompt, "model": model, "reply": reply, "target": "x", "score": i % 2}
                usage = {"input_tokens": 30, "output_tokens": WORDS}
                file.write(json.dumps({**row, "usage": usage, "cost": 0.001, "seconds": 0.5}) + "\n")


def measure(path: str) -> None:
    """Read one file and print what it took."""
    from sprat.reading import read

    start, worked = time.perf_counter(), time.process_time()
    data = read(path)
    calls = sum(len(e.calls) for e in data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{Path(path).name}: {Path(path).stat().st_size / 1e6:.0f} MB, {len(data):,} requests, {calls:,} calls, "
          f"{time.perf_counter() - start:.1f} s ({time.process_time() - worked:.1f} s of CPU), peak {peak:.0f} MB",
          flush=True)  # fmt: skip


def main() -> None:
    """Measure the table where SPRAT_DATA is set, and the long file."""
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "calls.jsonl"
        made(long)
        paths = [str(long)]
        if data := os.environ.get("SPRAT_DATA"):
            paths.insert(0, str(Path(data) / "mmlu_pro_outcomes" / "outcomes.parquet"))
        for path in paths:
            subprocess.run([sys.executable, __file__, path], check=True)


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
