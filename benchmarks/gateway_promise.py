"""Does the served gateway keep its word about the promise? Driven over HTTP: false alarms, delays, fallback, restoring.

    python benchmarks/gateway_promise.py [--months 20] [--runs 16] [--short]

`sprat serve` in a process of its own, with a mock upstream in another. Policy: a route that always asks the small
model, whose answer is wrong with a probability that is set from outside while it runs; the promise is `within .05` at
delta .1, scored by agreement, so the mean loss is that probability less .05. A month is at least 10,000 requests and
1,000 shadowed pairs on a new store, with the mean loss exactly at its limit and prompts' lengths as in the calibration
sample: the most that the promise allows. Time is compressed (a month takes well under a minute); nothing in the tests
reads the clock. Delays are counted in pairs (or requests) from a change that is made once all before it is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from gateway_latency import Process
from measured import header, table, write

from sprat.cli import main as command
from sprat.gateway.ledger import schema
from sprat.gateway.promise import evidence
from sprat.gateway.promise.promised import promised
from sprat.gateway.promise.watch import Promise

HERE = Path(__file__).parent
LEVEL, DELTA, TOP = 0.05, 0.1, 0.95
CALIBRATION = 2000  # rows
AT_ONCE = 16
FILE = """
[way]
use = "route"
models = ["small", "large"]
trust = [{{use = "random"}}]
at_least = [0.0]
[models.small]
url = "{url}"
price = {{input = 1.0, output = 1.0}}
[models.large]
url = "{url}"
price = {{input = 10.0, output = 10.0}}
[promise]
kind = "within"
level = 0.05
delta = 0.1
measure = "agreement"
share = {share}
restore_share = {restore}
at_once = 64
drift_rate = 1e6
losses = {{values = [-0.05, 0.95], counts = [97, 3]}}
[promise.features]
characters = {features}
"""


# The gateway, and who asks it --------------------------------------------------------------------------------------


def length_of(rank: float) -> int:
    """The prompt's length at this rank of the calibration sample's distribution, which is even from 20 to 1,020."""
    return 20 + int(1000 * rank)


class Served:
    """A gateway on a new store, and the connections that ask it."""

    def __init__(self, folder: Path, upstream: int, rng: np.random.Generator, share: float, restore: float) -> None:
        self.folder, self.upstream, self.rng = folder, upstream, rng
        features = [length_of(u) for u in rng.random(CALIBRATION)]
        url = f"http://127.0.0.1:{upstream}/v1"
        file, self.store = folder / "serve.toml", str(folder / "sprat.db")
        file.write_text(FILE.format(url=url, share=share, restore=restore, features=features))
        run = "import sys; from sprat.cli import main; sys.exit(main(sys.argv[1:]))"
        asked = [sys.executable, "-c", run, "serve", str(file), "--port", "0"]
        self.process = Process(asked, r"base URL\s+http://127.0.0.1:(\d+)/v1[\s\S]*healthz")
        self.engine = schema.connect(self.store)
        self.asked = self.pairs = self.requests = 0
        self.firsts: list[tuple[float, str]] = []  # when each reply came, and who wrote it

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()
        self.engine.dispose()

    def wrong(self, rate: float) -> None:
        """How often the small model is wrong from now on."""
        urllib.request.urlopen(f"http://127.0.0.1:{self.upstream}/wrong/{rate}").read()

    def status(self) -> dict[str, Any]:
        """What the gateway says of the promise, over HTTP."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.process.port}/sprat/promise", timeout=10) as said:
            return json.loads(said.read())

    def ask(self, n: int, mean_rank: float = 0.5, until: str = "") -> None:
        """Ask auto n times over AT_ONCE connections, or until the state is this one."""
        asyncio.run(self._ask(n, mean_rank, until))

    async def _ask(self, n: int, mean_rank: float, until: str) -> None:
        left, over = n, False

        async def work() -> None:
            nonlocal left, over
            reader, writer = await asyncio.open_connection("127.0.0.1", self.process.port)
            while left > 0 and not over:
                left -= 1
                rank = self.rng.random() if mean_rank == 0.5 else self.rng.beta(2 * mean_rank, 2 * (1 - mean_rank))
                prompt = "x" * length_of(float(rank))
                body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": prompt}]}).encode()
                head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                back = await reader.readuntil(b"\r\n\r\n")
                assert back.startswith(b"HTTP/1.1 200"), back
                found = re.search(rb"content-length: (\d+)", back, re.IGNORECASE)
                await reader.readexactly(int(found[1]))  # type: ignore[index]
                wrote = re.search(rb"x-sprat-model: (\w+)", back)
                self.firsts.append((time.time(), wrote[1].decode()))  # type: ignore[index]
                self.asked += 1
                over = over or (until == "broken" and b"x-sprat-promise: broken" in back)
            writer.close()

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    def settle(self) -> dict[str, Any]:
        """Wait until every pair and request is counted; the status then."""
        rows = schema.evidence
        while True:
            with self.engine.connect() as connection:
                left = connection.execute(schema.sa.select(rows.c.id).where(rows.c.folded == 0).limit(1)).first()
            found = self.status()
            if left is None and not found["busy"]:
                time.sleep(0.7)
                again = self.status()
                if again["pairs"] == found["pairs"] and again["requests"] == found["requests"]:
                    return again
            time.sleep(0.05)

    def watch(self) -> Promise:
        """The watch as it is saved, to predict from."""
        told = {"kind": "within", "level": LEVEL, "delta": DELTA, "measure": "agreement"}
        with self.engine.connect() as connection:
            saved = evidence.watch(connection)
        assert saved is not None
        share = saved.status["share"]
        asked = promised({**told, "share": share, "features": {"characters": list(range(40))}}, "", {})
        assert asked is not None
        made = asked.begun(0.0)
        made.restore(json.loads(saved.state)["promise"])
        return made


# What is measured --------------------------------------------------------------------------------------------------


def month(served: Served, requests: int, pairs: int) -> dict[str, Any]:
    """A month at the limit: whether there was an alarm."""
    served.wrong(LEVEL)
    served.ask(requests, until="broken")
    while (found := served.settle())["pairs"] < pairs and found["state"] == "holding":
        served.ask(max(pairs - found["pairs"], 1) * 10, until="broken")
    return {"state": found["state"], "why": found["why"], "pairs": found["pairs"], "requests": served.asked,
            "counted": found["requests"], "mean_loss": found["mean_loss"], "lost": found["lost"]}  # fmt: skip


def worse(served: Served, by: float, before: int) -> dict[str, Any]:
    """Quality falls: pairs until the alarm against those predicted, then the fallback, then what restores it."""
    served.wrong(0.02)
    served.ask(2 * before)
    start = served.settle()
    if start["state"] != "holding":
        return {"early": True}
    watch = served.watch()
    predicted = watch.delay(LEVEL + by - 0.02, 0.9)
    served.wrong(LEVEL + by)
    served.ask(40 * (predicted or 1000), until="broken")
    seen = time.time()
    found = served.status()
    if found["state"] != "broken":
        return {"early": False, "predicted": predicted, "pairs": None}
    at = int(re.search(r"\((\d+) pairs\)", found["why"])[1]) if "pairs)" in found["why"] else None  # type: ignore[index]
    served.wrong(0.02)  # mended: from here on new pairs speak for it
    served.firsts.clear()
    served.ask(100)
    alone = sum(model == "large" for _, model in served.firsts) / len(served.firsts)
    told: dict[str, Any] = {"early": False, "predicted": predicted, "by_drift": at is None}
    told |= {"pairs": None if at is None else at - start["pairs"], "seconds": seen - found["since"], "alone": alone}
    return told | restored(served)


def restored(served: Served) -> dict[str, Any]:
    """The policy is as good as before: pairs until it may be renewed against those said to be needed."""
    start = served.settle()
    for _ in range(100):  # those of before it was mended weigh until the new ones outnumber them
        if start["pairs_needed"] is not None:
            break
        served.ask(50)
        start = served.settle()
    needed, found = start["pairs_needed"], start
    for _ in range(100):
        if found["restorable"]:
            break
        served.ask(50)
        found = served.settle()
    else:
        return {"needed": needed, "took": None, "back": False}
    done = command(["promise", "renew", "--store", served.store]) == 0
    time.sleep(1.0)
    served.firsts.clear()
    served.ask(50)
    back = done and all(model == "small" for _, model in served.firsts)
    return {"needed": needed, "took": found["pairs"] - start["pairs"], "back": back}


def drifted(served: Served, mean_rank: float, before: int) -> dict[str, Any]:
    """Requests become longer: requests until the alarm, against the 90 % point of what the saved state foretells."""
    served.wrong(0.02)
    served.ask(before)
    start = served.settle()
    if start["state"] != "holding":
        return {"early": True}
    watch = served.watch()
    drift = watch.drift
    assert drift is not None
    guide = drift.delay(mean_rank)
    rng, foretold = np.random.default_rng(0), []
    text = watch.to_json()
    for _ in range(40):
        watch.restore(text)
        n = 0
        while watch.state == "holding" and n < 4000:
            length = length_of(float(rng.beta(2 * mean_rank, 2 * (1 - mean_rank))))
            watch.observe_request(1e12, {"characters": length}, float(rng.random()))
            n += 1
        foretold.append(n)
    predicted = float(np.quantile(foretold, 0.9))
    served.ask(8000, mean_rank, until="broken")
    found = served.status()
    at = re.search(r"\((\d+) requests\)", found["why"])
    took = int(at[1]) - start["requests"] if at else None
    return {"early": False, "guide": guide, "predicted": predicted, "requests": took}


def page(r: dict[str, Any]) -> list[str]:
    months, falls, drifts = r["months"], r["worse"], r["drift"]
    row = {"months": str(len(months))}
    row |= {name: f"{sum(m[name] for m in months):,}" for name in ("requests", "pairs", "lost")}
    row["false alarms"] = str(sum(m["state"] == "broken" for m in months))
    row["bar"] = f"at most {DELTA * len(months):g}"
    lines = [
        "# The promise, kept by the served gateway",
        "Over HTTP, `within .05` at delta .1, half for each test.",
        "",
    ]
    lines += ["## Without drift: mean loss exactly at the limit", "", *table([row])]
    lines += ["## Quality falls, after 300 pairs at a mean loss .03 below the limit", ""]
    found = [f for f in falls if not f["early"]]
    hits = [f for f in found if f["pairs"] is not None]
    if hits:
        lines += table([fallen(by, [f for f in hits if f["by"] == by]) for by in sorted({f["by"] for f in hits})])
    lines += [f"Runs that alarmed before the change: {len(falls) - len(found)}; not by the loss test: "]
    lines[-1] += f"{len(found) - len(hits)}."
    lines += ["", f"## Requests become longer, after 1,000 requests; calibration sample of {CALIBRATION:,}", ""]
    mine = [d for d in drifts if not d["early"] and d["requests"] is not None]
    if mine:
        ranks = sorted({d["rank"] for d in mine})
        lines += table([moved(rank, [d for d in mine if d["rank"] == rank]) for rank in ranks])
    silent = sum(not d["early"] and d["requests"] is None for d in drifts)
    return [*lines, f"Runs without an alarm in 8,000 requests: {silent}."]


def fallen(by: float, runs: list[dict[str, Any]]) -> dict[str, str]:
    """A row on what happened when the mean loss rose to `by` above the limit."""
    seconds, back = [f["seconds"] for f in runs], [f for f in runs if f["took"] is not None]
    told = [f for f in back if f["needed"]]  # 0 is: at once
    row = {
        "above the limit": f"{by}",
        "runs": str(len(runs)),
        "predicted (90 %)": f"{np.median([f['predicted'] for f in runs]):.0f}",
        "median pairs": f"{np.median([f['pairs'] for f in runs]):.0f}",
        "within the predicted": f"{sum(f['pairs'] <= f['predicted'] for f in runs)} of {len(runs)}",
        "seconds to fall back": f"{np.median(seconds):.2f} (most {max(seconds):.2f})",
        "reference alone then": f"{100 * np.mean([f['alone'] for f in runs]):.0f} %",
        "renewed, policy answers": f"{sum(f['back'] for f in runs)} of {len(runs)}",
    }
    if told:
        row["pairs to restore: said (80 %), took"] = (
            f"{np.median([f['needed'] for f in told]):.0f}, {np.median([f['took'] for f in told]):.0f}"
        )
        row["restored by then"] = f"{sum(f['took'] <= f['needed'] for f in told)} of {len(told)}"
    return row


def moved(rank: float, runs: list[dict[str, Any]]) -> dict[str, str]:
    """A row on what happened when the mean rank of the prompts' lengths moved there."""
    return {
        "mean rank": f"{rank}",
        "runs": str(len(runs)),
        "guide": f"{runs[0]['guide']}",
        "foretold (90 %)": f"{np.median([d['predicted'] for d in runs]):.0f}",
        "median requests": f"{np.median([d['requests'] for d in runs]):.0f}",
        "within the foretold": f"{sum(d['requests'] <= d['predicted'] for d in runs)} of {len(runs)}",
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--months", type=int, default=20)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="a tenth of a month, two runs; nothing is written")
    given = parser.parse_args()
    requests, pairs, months, runs = 10_000, 1000, given.months, given.runs
    if given.short:
        requests, pairs, months, runs = 1000, 100, 1, 2
    began, rng = time.perf_counter(), np.random.default_rng(given.seed)
    upstream = Process([sys.executable, str(HERE / "gateway_promise_upstream.py")], r"port (\d+)")
    found: dict[str, Any] = {"months": [], "worse": [], "drift": []}

    def run(part: str, share: float, restore: float, what: Any, **told: float) -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            Served(Path(folder), upstream.port, rng, share, restore) as served,
        ):
            row = {**told, **what(served)}
        found[part].append(row)
        print(f"{time.perf_counter() - began:4.0f} s  {part}: {row}", flush=True)

    try:
        for _ in range(months):
            run("months", 0.1, 0.2, lambda s: month(s, requests, pairs))
        for i in range(runs):
            by = (0.1, 0.3)[i % 2]
            run("worse", 0.5, 1.0, lambda s, by=by: worse(s, by, 300), by=by)
        for i in range(runs):
            rank = (0.65, 0.8)[i % 2]
            run("drift", 0.05, 0.2, lambda s, rank=rank: drifted(s, rank, 1000), rank=rank)
    finally:
        upstream.stop()
    asked = f"python benchmarks/gateway_promise.py --months {months} --runs {runs}" + (
        " --short" if given.short else ""
    )
    record = {"about": header(asked, given.seed, time.perf_counter() - began), **found}
    print("\n".join(page(record)))
    if not given.short:
        write("gateway_promise", record, page(record))


if __name__ == "__main__":
    main()
