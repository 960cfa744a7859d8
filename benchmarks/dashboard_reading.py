"""How long the dashboard takes to read a store of many exchanges, and how much it holds up the thread that serves.

    python benchmarks/dashboard_reading.py --rows 10000000 --out benchmarks/results/dashboard_reading.md

A made-up week is copied, in SQL, back over thirty days until the store has so many rows. Then, as a worker would, the
overview is read in a thread until a window's history is complete, and again while it is; meanwhile a loop beside it
sleeps a millisecond at a time, and how much later it wakes than it asked for is what a request would have waited.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "gateway"), str(ROOT / "tests")]

from dashboard_browser import Shown  # noqa: E402
from week import exchanges, write  # noqa: E402

from sprat.gateway.dashboard.overview import Overview  # noqa: E402
from sprat.gateway.ledger.schema import exchanges as exchanges_table  # noqa: E402
from sprat.gateway.ledger.schema import writing  # noqa: E402
from sprat.gateway.ledger.store import Store  # noqa: E402

_COPY = """insert into sprat_exchanges (id, at, thread, {rest}) select lower(hex(randomblob(12))),
:now - abs(random() % 1000000) / 1e6 * 30 * 86400, 'conversation-' || (abs(random()) % :threads), {rest}
from sprat_exchanges limit :most"""


def filled(store: Store, rows: int) -> None:
    """A store of so many rows, about three to a thread."""
    have = min(rows, 20_000)
    write(store, exchanges(have, time.time()))
    rest = [c.name for c in exchanges_table.columns if c.name not in ("id", "at", "thread")]
    while have < rows:
        most = min(have, rows - have)
        with writing(store.engine) as connection:
            told = {"now": time.time(), "threads": rows // 3, "most": most}
            connection.exec_driver_sql(_COPY.format(rest=", ".join(rest)), told)
        have += most


class Beside:
    """A thread that sleeps a millisecond at a time; `late` are the seconds by which it woke too late."""

    def __enter__(self) -> Beside:
        self.late: list[float] = []
        self.on = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self) -> None:
        while self.on:
            began = time.perf_counter()
            time.sleep(0.001)
            self.late.append(time.perf_counter() - began - 0.001)

    def __exit__(self, *_: object) -> None:
        self.on = False
        self.thread.join()

    def said(self) -> str:
        """p50 and p99 in milliseconds."""
        cuts = statistics.quantiles(self.late, n=100)
        return f"{cuts[49] * 1e3:.2f} | {cuts[98] * 1e3:.2f}"


def main() -> None:
    """Fill, read, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines = [f"# The dashboard over {asked.rows:,} exchanges\n"]
    with tempfile.TemporaryDirectory() as folder:
        shown = Shown(Path(folder))
        with Store.read(shown.path) as store:
            filled(store, asked.rows)
            head = "| window | polls until complete | longest poll, s | a poll after that, s | late p50, ms | p99, ms |"
            lines += [head, "|---|---|---|---|---|---|"]
            with Beside() as idle:
                time.sleep(2)
            for window in ("hour", "day", "week", "month"):
                overview, took = Overview(store), list[float]()
                with Beside() as beside:
                    complete = False
                    while not complete:
                        began = time.perf_counter()
                        said = overview.read(shown.app, window)
                        took.append(time.perf_counter() - began)
                        complete = said["slices"]["read"] == said["slices"]["of"]
                    time.sleep(1)
                    began = time.perf_counter()
                    overview.read(shown.app, window)
                    again = time.perf_counter() - began
                lines.append(f"| {window} | {len(took)} | {max(took):.2f} | {again:.3f} | {beside.said()} |")
                print(lines[-1], flush=True)
            began = time.perf_counter()
            overview.decisions({"model": "nobody"})
            lines.append(f"\nA filter that finds nothing: {time.perf_counter() - began:.2f} s. ")
            lines.append(f"With nothing beside it the loop woke late by (p50 | p99, ms): {idle.said()}.")
            lines.append(f"The store: {shown.path.stat().st_size / 1e9:.2f} GB.")
    print("\n".join(lines))
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
