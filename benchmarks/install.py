"""Fresh environments: how much `pip install .` and `.[study]` put on disk, that neither holds torch, and import time.

Bars: 150 MB, 700 MB, no torch, `import sprat` under 0.2 s of CPU (the least of five, less an empty interpreter's).
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

ROOT = Path(__file__).parent.parent
BARS = {"sprat": 150.0, "sprat[study]": 700.0}
IMPORT, RUNS = 0.2, 5
TORCH = ("torch", "triton", "nvidia-cublas-cu12")


def megabytes(folder: Path) -> float:
    """What the files of a folder take, a file with several names once, in units of 10^6 bytes."""
    seen = {(s.st_dev, s.st_ino): s.st_size for p in folder.rglob("*") if not p.is_symlink() and (s := p.stat())}
    return sum(seen.values()) / 1e6


def installed(extra: str, place: Path) -> dict[str, Any]:
    """Make an environment, install into it, and look: megabytes beside an empty one's, packages, import seconds."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = str(place / "bin" / "python")
    before, began = megabytes(place), time.monotonic()
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    subprocess.run([*pip, f"{ROOT}{extra}"], check=True)
    seconds = time.monotonic() - began
    listed = json.loads(subprocess.check_output([python, "-m", "pip", "list", "--format=json"], text=True))
    names = {p["name"].lower(): p["version"] for p in listed}
    folders = list((place / "lib").glob("python*/site-packages/*"))
    ours = [f for f in folders if f.is_dir() and not f.name.startswith(("pip", "setuptools"))]
    largest = sorted(((megabytes(f), f.name) for f in ours), reverse=True)[:6]
    empty = min(cpu(python, "") for _ in range(RUNS))
    return {
        "megabytes": round(megabytes(place) - before, 1),
        "packages": len(names) - 2,
        "torch": sorted(set(TORCH) & names.keys()),
        "seconds to install": round(seconds),
        "import": round(min(cpu(python, "import sprat") for _ in range(RUNS)) - empty, 3),
        "largest": [f"{name} {size:.0f}" for size, name in largest],
    }


def cpu(python: str, code: str) -> float:
    """CPU seconds, user and system, of a fresh interpreter that runs the code."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    subprocess.run([python, "-c", code], check=True, cwd="/")
    return spent() - before


def main() -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="record the results")
    asked, began = parser.parse_args(), time.monotonic()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for i, name in enumerate(BARS):
            found[name] = installed(name.removeprefix("sprat"), Path(folder) / str(i))
    missed = [n for n, f in found.items() if f["megabytes"] > BARS[n] or f["torch"] or f["import"] > IMPORT]
    rows = [
        {
            "installed": name,
            "MB (bar)": f"{f['megabytes']:.0f} ({BARS[name]:.0f})",
            "packages": str(f["packages"]),
            "torch": ", ".join(f["torch"]) or "none",
            "import, CPU s (bar)": f"{f['import']:.3f} ({IMPORT})",
            "largest, MB": ", ".join(f["largest"]),
        }
        for name, f in found.items()
    ]
    text = [
        "# What an installation takes",
        "Megabytes (10^6 bytes) that are on disk after `pip install` into a fresh environment and were not before.",
        "Import: the least of five fresh interpreters, less an empty one's.",
        "",
        *table(rows),
        f"Missed: {', '.join(missed) or 'none'}.",
    ]
    print("\n".join(text[3:]))
    if asked.write:
        about = header("python benchmarks/install.py --write", 0, time.monotonic() - began)
        load = [round(x, 1) for x in os.getloadavg()]
        write("install", {"about": about, "bars": BARS, "import bar": IMPORT, "load": load, "found": found}, text)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
