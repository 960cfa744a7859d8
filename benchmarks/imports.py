"""CPU seconds of `import sprat` in a fresh interpreter, median of 15 runs, less those of an empty one; bar: 0.2 s."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

RUNS = 15
BAR = 0.2


def cpu(code: str) -> float:
    """CPU seconds, user and system, of a fresh interpreter that runs the code."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    subprocess.run([sys.executable, "-c", code], check=True)
    return spent() - before


def main() -> int:
    """Print the times; 1 where the import takes more than the bar, or loads a heavy library."""
    empty = statistics.median(cpu("") for _ in range(RUNS))
    package = statistics.median(cpu("import sprat") for _ in range(RUNS)) - empty
    used = statistics.median(cpu("import sprat; sprat.cascade") for _ in range(RUNS)) - empty
    loaded = subprocess.check_output(
        [sys.executable, "-c", "import sprat, sys; print('numpy' in sys.modules)"], text=True
    )
    print(f"import sprat {package * 1e3:.0f} ms, with sprat.cascade {used * 1e3:.0f} ms CPU (bar {BAR * 1e3:.0f} ms)")
    print(f"numpy loaded by import sprat: {loaded.strip()}")
    return int(package > BAR or loaded.strip() != "False")


if __name__ == "__main__":
    sys.exit(main())
