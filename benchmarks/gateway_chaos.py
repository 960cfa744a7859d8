"""Mixed chaos for `sprat serve`: its upstream, its clients, its disk, its database, its clock and its own life.

    python benchmarks/gateway_chaos.py --minutes 30 [--seed 0] [--postgresql] [--faults kill,locked]

Half the time with durable records, half without. What must hold: every request is answered within its deadline; every
stream is whole or ends with an error in its dialect, as the official clients read it; no reply is another's; whatever
was acknowledged is in the store afterwards (without `durable`, but for the last three seconds before a kill and the
second after it, in which clients read what had been sent); no id twice; what keys spent is the sum of the records; and,
when the chaos is over, health is good, nothing is in progress, memory and open files are bounded, and the log holds no
crash.

Filling the disk needs a mount of its own (root on Linux), jumps of the clock need libfaketime; without them these two
are left out, and the record says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "gateway")]

from gateway_chaos_clients import Crowd  # noqa: E402
from gateway_chaos_server import Serving  # noqa: E402
from gateway_latency import Process  # noqa: E402
from measured import header, table, write  # noqa: E402
from verdicts import warm  # noqa: E402

CROWD, DISK_MB = 12, 64
LOST_SECONDS, LATE_SECONDS = 3.0, 1.0


class Chaos:
    """The faults, one after another, by a seed."""

    def __init__(self, serving: Serving, crowd: Crowd, disk: Path | None, database: Any, seed: int) -> None:
        self.serving, self.crowd, self.disk, self.database = serving, crowd, disk, database
        self.draw = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.unsafe: list[tuple[float, float]] = []  # what is acknowledged within may be lost
        self.durable = True
        self.history: list[tuple[float, float, str]] = []

    def kinds(self) -> list[str]:
        """What can be done here."""
        found = ["kill", "term", "nothing"]
        found += ["stopped"] if self.database else ["locked", "taken"]
        found += ["full"] if self.disk and not self.database else []
        found += ["clock"] if self.serving.faketime else []
        return found + (["reload"] if self.serving.takes(signal.SIGHUP) else [])

    async def one(self, kind: str) -> None:
        """One fault, begun and ended."""
        self.done[kind] += 1
        began = time.monotonic()
        await getattr(self, f"_{kind}")()
        self.history.append((began, time.monotonic(), kind))

    def sure(self) -> dict[str, float]:
        """What was acknowledged, and is by our rules never to be lost, with the time."""
        told = self.crowd.acknowledged.items()
        return {k: t for k, t in told if not any(begin <= t <= end for begin, end in self.unsafe)}

    def around(self, at: float) -> str:
        """What was done about a moment."""
        near = [f"{kind} from {b - at:+.1f} to {e - at:+.1f} s" for b, e, kind in self.history if b - 20 < at < e + 20]
        return ", ".join(near) or "nothing"

    async def _nothing(self) -> None:
        await asyncio.sleep(1.0)

    async def _kill(self) -> None:
        if said := await asyncio.to_thread(self.serving.ready, 40.0):
            self.failures.append(f"health did not recover within 40 s: {said}")
        await self._ended(signal.SIGKILL)

    async def _term(self) -> None:
        await self._ended(signal.SIGTERM)

    async def _ended(self, how: signal.Signals) -> None:
        self.crowd.gone_at.append(time.monotonic() + 3600)  # whatever begins from now on may break
        self.crowd.away.set()
        killed = time.monotonic()
        self.crowd.told_at = killed if how == signal.SIGTERM else None
        if how == signal.SIGKILL and not self.serving.durable:
            self.unsafe.append((killed - LOST_SECONDS, killed + LATE_SECONDS))
        self.serving.signal(how)
        assert self.serving.process is not None
        try:
            code = await asyncio.to_thread(self.serving.process.wait, 60)
            if how == signal.SIGTERM and code not in (0, -signal.SIGTERM):
                self.failures.append(f"SIGTERM ended it with {code}")
        except subprocess.TimeoutExpired:
            self.failures.append("SIGTERM did not end it within 60 s")
            self.serving.process.kill()
        mode = "durable" if self.serving.durable else "default"
        self.history.append((killed, killed, f"{how.name} of a {mode} one"))
        await asyncio.to_thread(self.serving.start, self.durable)
        self.crowd.gone_at[-1], self.crowd.told_at = time.monotonic(), None
        self.crowd.away.clear()

    async def _locked(self) -> None:
        with suppress(sqlite3.OperationalError):
            other = sqlite3.connect(self.serving.store, timeout=2, isolation_level=None)
            other.execute("begin exclusive")
            await asyncio.sleep(self.draw.uniform(0.5, 4.0))
            other.execute("rollback")
            other.close()

    async def _taken(self) -> None:
        """The database's files are moved away, and come back."""
        store = Path(self.serving.store)
        away = [(f, f.with_name(f"away-{f.name}")) for f in (store,) if f.exists()]
        for here, there in away:
            here.rename(there)
        await asyncio.sleep(self.draw.uniform(0.5, 4.0))
        for here, there in away:
            there.rename(here)

    async def _full(self) -> None:
        assert self.disk is not None
        filler = self.disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        await asyncio.sleep(self.draw.uniform(0.5, 5.0))
        filler.unlink()

    async def _stopped(self) -> None:
        await asyncio.to_thread(self.database.turn, f"stop -m {self.draw.choice(('fast', 'immediate'))}")
        await asyncio.sleep(self.draw.uniform(0.5, 4.0))
        await asyncio.to_thread(self.database.turn, "start")

    async def _clock(self) -> None:
        self.serving.clock.write_text(self.draw.choice(("+3700", "-3700", "+40d", "-2d", "+5", "-5", "+0")))
        await asyncio.sleep(2.0)

    async def _reload(self) -> None:
        file = self.serving.folder / "serve.toml"
        good = file.read_text()
        if self.draw.random() < 0.5:
            file.write_text(good[: self.draw.randrange(len(good))] + self.draw.choice(("", "[[[", "\0", 'x = "')))
        self.serving.signal(signal.SIGHUP)
        await asyncio.sleep(1.5)
        file.write_text(good)
        self.serving.signal(signal.SIGHUP)
        await asyncio.sleep(0.5)


async def run(given: argparse.Namespace, serving: Serving, disk: Path | None, database: Any) -> dict[str, Any]:
    """The chaos and what was found."""
    serving.start(True)
    crowd = Crowd(serving.port, serving.key, given.seed)
    chaos = Chaos(serving, crowd, disk, database, given.seed)
    workers = [asyncio.create_task(crowd.work()) for _ in range(CROWD)]
    began, end = time.monotonic(), time.monotonic() + 60 * given.minutes
    wanted = given.faults.split(",") if given.faults else chaos.kinds()
    memory: list[float] = []
    await asyncio.sleep(2.0)
    while time.monotonic() < end:
        chaos.durable = time.monotonic() - began < 30 * given.minutes
        # One that was not done yet comes first, so that a short run has them all.
        fresh = [k for k in wanted if not chaos.done[k]]
        await chaos.one(fresh[0] if fresh else chaos.draw.choice(wanted))
        memory.append(serving.memory())
        await asyncio.sleep(chaos.draw.uniform(0.2, 2.0))
    serving.clock.write_text("+0")
    crowd.stopping = True
    done, late = await asyncio.wait(workers, timeout=60)
    for task in late:
        task.cancel()
    found: dict[str, Any] = {"failures": [*crowd.failures, *chaos.failures]}
    found["failures"] += [f"a client was not answered within {60} s"] * len(late)
    found["failures"] += [f"a client failed: {t.exception()!r}" for t in done if t.exception()]
    found["failures"] += await asyncio.to_thread(settled, serving)
    found |= {"outcomes": crowd.outcomes, "faults": chaos.done, "memory_mb": [*memory, serving.memory()]}
    found |= {"slowest_s": crowd.slowest, "acknowledged": len(chaos.sure()), "files": serving.files()}
    serving.signal(signal.SIGTERM)
    assert serving.process is not None
    if (code := await asyncio.to_thread(serving.process.wait, 60)) not in (0, -signal.SIGTERM):
        found["failures"].append(f"the last SIGTERM ended it with {code}")
    found |= ledger(serving.store, chaos)
    found["failures"] += found.pop("lost")
    text = serving.logs()
    crashes = re.findall(r"^.*(?:Traceback|never retrieved|was never awaited).*$", text, re.M)
    if crashes:
        at = text.find(crashes[0])
        found["failures"].append(f"{len(crashes)} crashes in the log, such as: {text[at - 200 : at + 2500]}")
    if found["memory_mb"][-1] > 500:
        found["failures"].append(f"memory at the end: {found['memory_mb'][-1]:.0f} MB")
    return found


def settled(serving: Serving) -> list[str]:
    """What is wrong once nobody asks any more."""
    wrong = [f"health did not recover: {said}"] if (said := serving.ready(40.0)) else []
    end = time.monotonic() + 15
    while time.monotonic() < end:
        working = re.search(r"^sprat_requests_in_progress (\S+)$", serving.get("/metrics")[1], re.M)
        queued = re.search(r"^sprat_store_queued (\S+)$", serving.get("/metrics")[1], re.M)
        if working and queued and float(working[1]) == float(queued[1]) == 0:
            break
        time.sleep(0.2)
    else:
        wrong.append(f"still in progress or queued: {working and working[1]}, {queued and queued[1]}")
    if serving.files() > 200:
        wrong.append(f"{serving.files()} files are open")
    dropped = re.search(r"^sprat_store_dropped (\S+)$", serving.get("/metrics")[1], re.M)
    return wrong + ([f"{dropped[1]} records were dropped"] if dropped and float(dropped[1]) else [])


def ledger(store: str, chaos: Chaos) -> dict[str, Any]:
    """What the store holds, and what it should hold and does not."""
    import sqlalchemy as sa

    from sprat.gateway.access.limits import span
    from sprat.gateway.ledger import schema
    from sprat.gateway.ledger.store import Store

    lost: list[str] = []
    with Store.read(store) as reading:
        kept = reading.exchanges()
        ids = {e.id for e in kept}
        if missing := {i: t for i, t in chaos.sure().items() if i not in ids}:
            said = "; ".join(f"{i} (about then: {chaos.around(t)})" for i, t in list(missing.items())[:5])
            lost.append(f"{len(missing)} acknowledged records are not in the store, such as {said}")
        if len(ids) != len(kept):
            lost.append(f"{len(kept) - len(ids)} records are there twice")
        sums: dict[tuple[str, str], list[float]] = {}
        for e in kept:
            for window in (span("day", e.at), span("month", e.at)):
                row = sums.setdefault((e.key, window), [0.0, 0, 0])
                row[0] += e.cost or 0.0
                row[1] += 1
                row[2] += e.cost is None
        with reading.engine.connect() as connection:
            spent = {
                (r.key, r.span): [r.dollars, r.calls, r.unknown] for r in connection.execute(sa.select(schema.spend))
            }
        for place in sums.keys() | spent.keys():
            ours, theirs = sums.get(place, [0.0, 0, 0]), spent.get(place, [0.0, 0, 0])
            if ours[1:] != theirs[1:] or abs(ours[0] - theirs[0]) > 1e-9 + 1e-6 * abs(ours[0]):
                lost.append(f"spent in {place[1]}: {theirs}; the records say {ours}")
        if not store.startswith("postgresql"):
            with reading.engine.connect() as connection:
                said = connection.exec_driver_sql("pragma integrity_check").scalar()
            lost += [] if said == "ok" else [f"the database is damaged: {said}"]
    return {"records": len(kept), "lost": lost}


def report(given: argparse.Namespace, found: dict[str, Any], left_out: list[str], seconds: float) -> int:
    """Write the record; 1 where something failed."""
    failures = found["failures"]
    asked = sum(found["outcomes"].values())
    lines = [f"# Chaos: {given.minutes:g} minutes, {asked:,} requests, {len(failures)} failures"]
    lines += ["Faults: " + ", ".join(f"{v} {k}" for k, v in sorted(found["faults"].items())) + "."]
    lines += [f"Left out here: {', '.join(left_out)}."] if left_out else []
    lines += ["", *table([{"outcome": k, "requests": f"{v:,}"} for k, v in sorted(found["outcomes"].items())])]
    memory = found["memory_mb"]
    lines += [f"{found['records']:,} records, {found['acknowledged']:,} of them acknowledged and none lost;"]
    lines += [f"slowest {found['slowest_s']:.1f} s; memory {max(memory):.0f} MB at most, {memory[-1]:.0f} at the end;"]
    lines += [f"{found['files']} open files at the end.", "", *(f"- {f}" for f in failures[:60])]
    print("\n".join(lines))
    if given.minutes >= 5:
        name = "gateway_chaos_postgresql" if given.postgresql else "gateway_chaos"
        command = f"python benchmarks/gateway_chaos.py --minutes {given.minutes:g}" + " --postgresql" * given.postgresql
        write(name, {"about": header(command, given.seed, seconds), "left_out": left_out, **found}, lines)
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--faults", default="", help="these alone, such as kill,locked; all where not given")
    parser.add_argument("--kind", default="", help="the one way in which the upstream misbehaves")
    given = parser.parse_args()
    from stored import postgresql

    warm()
    began = time.time()
    faketime = next((str(p) for p in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), "")
    left_out = [] if faketime else ["jumps of the clock (no libfaketime)"]
    with tempfile.TemporaryDirectory() as name, postgresql() if given.postgresql else nullcontext() as database:
        folder, disk = Path(name), Path(name) / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)]
        mounted = not given.postgresql and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        if not mounted and not given.postgresql:
            left_out.append("a full disk (no mount)")
        command = [sys.executable, str(HERE / "gateway_chaos_upstream.py"), "--seed", str(given.seed)]
        upstream = Process([*command, *(["--kind", given.kind] if given.kind else [])], r"port (\d+)")
        serving = Serving(folder, disk, f"http://127.0.0.1:{upstream.port}", database.url if database else "", faketime)
        try:
            found = asyncio.run(run(given, serving, disk if mounted else None, database))
        finally:
            upstream.stop()
            if serving.process is not None and serving.process.poll() is None:
                serving.process.kill()
                serving.process.wait()
            if mounted:
                subprocess.run(["umount", "-l", str(disk)], check=False)
    return report(given, json.loads(json.dumps(found)), left_out, time.time() - began)


if __name__ == "__main__":
    sys.exit(main())
