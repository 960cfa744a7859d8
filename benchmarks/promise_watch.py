"""Does the watch keep its word? False alarms, delays, off-policy coverage and the budget's controller, simulated.

Every law here is made up, so that the truth is known; what the gateway does over HTTP is measured elsewhere. The
promise is `within .05` at delta .1, half of it for each test. All of the code under test is the gateway's own.

Run: python benchmarks/promise_watch.py [--months 1000] [--runs 300] [--seed 0] [--write]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from promise_watch_page import page

from sprat.gateway.promise.drift import DriftTest
from sprat.gateway.promise.e_process import EProcess, Law
from sprat.gateway.promise.labels import CorrectedLosses
from sprat.gateway.steering.budget import Budget, Setting
from sprat.gateway.steering.off_policy import Logged, evaluate, threshold

HERE = Path(__file__).parent
DELTA, LEVEL = 0.1, 0.05
LOW, HIGH = -1 - LEVEL, 1 - LEVEL
DAY, T0 = 86_400.0, 20_000 * 86_400.0
SETTINGS = (Setting("safe", 0.010, 0.0), Setting("middle", 0.006, 0.004), Setting("cheap", 0.003, 0.012))


def losses(rng: Any, n: int, mean: float) -> np.ndarray:
    """Of `within .05`: the policy wins 10 % of pairs and loses 10 % + mean + .05."""
    u = rng.random(n)
    return np.where(u < 0.1, -1.0, np.where(u < 0.25 + mean, 1.0, 0.0)) - LEVEL


def law(mean: float) -> Law:
    return Law((LOW, HIGH, -LEVEL), (0.1, 0.15 + mean, 0.75 - mean))


def rate(hits: int, of: int) -> dict[str, float]:
    p = hits / of
    return {"rate": p, "se": float(np.sqrt(max(p * (1 - p), 1 / of**2) / of))}


def first_alarm(test: EProcess, values: np.ndarray, q: np.ndarray | None = None) -> int | None:
    chances = [None] * len(values) if q is None else q.tolist()
    for i, (value, chance) in enumerate(zip(values.tolist(), chances, strict=True)):
        test.update(value, chance)
        if test.alarm:
            return i + 1
    return None


# False alarms ------------------------------------------------------------------------------------------------------


def judged_month(rng: Any, n: int, mean: float) -> bool:
    """Losses by a judge who misses half of the losses, corrected by marks on 30 % of the pairs."""
    corrected = CorrectedLosses(LOW, HIGH, 0.3)
    test = EProcess(*corrected.bounds, DELTA / 2, 0.1)
    loss = losses(rng, n, mean)
    judged = np.where((loss > 0) & (rng.random(n) < 0.5), -LEVEL, loss)
    marked = rng.random(n) < 0.3
    for g, x, m in zip(judged.tolist(), loss.tolist(), marked.tolist(), strict=True):
        test.update(corrected.correct(g, x if m else None))
    return test.alarm


def weighted_month(rng: Any, n: int) -> bool:
    """Requests where the policy may lose are shadowed four times as often as the others; 10 n requests."""
    loss = losses(rng, 10 * n, 0.0)
    q = np.where(rng.random(10 * n) < 0.3 + 0.5 * (loss > 0), 0.2, 0.05)
    drawn = rng.random(10 * n) < q
    return first_alarm(EProcess(LOW, HIGH, DELTA / 2, 0.05), loss[drawn], q[drawn]) is not None


def drifted(rng: Any, requests: int, sample: int) -> bool:
    test = DriftTest.of({"trust": rng.beta(2, 3, sample)}, DELTA / 2)
    for value, u in zip(rng.beta(2, 3, requests).tolist(), rng.random(requests).tolist(), strict=True):
        test.update({"trust": value}, u)
        if test.alarm:
            return True
    return False


def false_alarms(rng: Any, months: int, pairs: int = 1000, requests: int = 10_000) -> list[dict[str, Any]]:
    edge = [first_alarm(EProcess(LOW, HIGH, DELTA / 2, 0.1), losses(rng, pairs, 0.0)) for _ in range(months)]
    inside = sum(
        first_alarm(EProcess(LOW, HIGH, DELTA / 2, 0.1), losses(rng, pairs, -0.02)) is not None for _ in range(months)
    )
    drift = [drifted(rng, requests, 300) for _ in range(months)]
    either = sum(e is not None or d for e, d in zip(edge, drift, strict=True))
    rows = [
        ("loss test, mean loss exactly at the limit", DELTA / 2, sum(e is not None for e in edge)),
        ("loss test, mean loss .02 below it", DELTA / 2, inside),
        (
            "loss test, chances of shadowing that follow the loss",
            DELTA / 2,
            sum(weighted_month(rng, pairs) for _ in range(months)),
        ),
        (
            "loss test, biased judge, 30 % marked",
            DELTA / 2,
            sum(judged_month(rng, pairs, 0.0) for _ in range(months)),
        ),
        ("drift test, 300 calibration rows", DELTA / 2, sum(drift)),
        ("loss and drift test together", DELTA, either),
    ]
    return [{"what": what, "bar": bar, **rate(hits, months)} for what, bar, hits in rows]


# Delays ------------------------------------------------------------------------------------------------------------


def loss_delays(rng: Any, runs: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for before in (0, 1000):
        for mean in (0.02, 0.05, 0.1, 0.2, 0.4):
            predicted = EProcess(LOW, HIGH, DELTA / 2, 0.1).delay(law(mean), 0.9, seen=before) or 0
            delays: list[float] = []
            for _ in range(runs):
                test = EProcess(LOW, HIGH, DELTA / 2, 0.1)
                if first_alarm(test, losses(rng, before, -0.03)) is None:
                    delays.append(first_alarm(test, losses(rng, 2 * predicted, mean)) or np.inf)
            within = sum(d <= predicted for d in delays)
            found.append(
                {
                    "before": before,
                    "above": mean,
                    "predicted": predicted,
                    "median": float(np.median(delays)),
                    "p90": float(np.quantile(delays, 0.9, method="higher")),
                    **rate(within, len(delays)),
                }
            )
    return found


def drift_delays(rng: Any, runs: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for sample, before in ((300, 0), (3000, 0), (3000, 3000)):
        for mean in (0.55, 0.6, 0.7):
            guide = DriftTest.of({"trust": rng.random(sample)}, DELTA / 2).delay(mean, seen=before)
            delays: list[float] = []
            for _ in range(runs // 3):
                test = DriftTest.of({"trust": rng.random(sample)}, DELTA / 2)
                for v, u in zip(rng.random(before).tolist(), rng.random(before).tolist(), strict=True):
                    test.update({"trust": v}, u)
                n = 0
                while not test.alarm and n < 4000:
                    n += 1
                    test.update({"trust": rng.beta(2 * mean, 2 * (1 - mean))}, rng.random())
                delays.append(n if test.alarm else np.inf)
            missed = float(np.mean(np.isinf(delays)))
            row = {"sample": sample, "before": before, "mean_rank": mean, "guide": guide, "missed": missed}
            found.append({**row, "median": float(np.median(delays)), "runs": runs // 3})
    return found


def restores(rng: Any, runs: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for mean in (-0.02, -0.05, -0.1):
        test = EProcess(LOW, HIGH, DELTA, 0.2)
        n = test.mirrored().delay(law(mean).negated(), 0.8, seen=0) or 0
        shown = sum(first_alarm(test.mirrored(), -losses(rng, n, mean)) is not None for _ in range(runs))
        found.append({"mean": mean, "pairs": n, **rate(shown, runs)})
    return found


# Off-policy estimates ----------------------------------------------------------------------------------------------


def logged(rng: Any, n: int, explore: float, per_unit: int) -> Logged:
    """Small (0) is wrong with chance 1 - trust, large (1) with .1; the log's cut is .5; a unit shares a luck."""
    luck = np.repeat(rng.uniform(-0.1, 0.1, n // per_unit), per_unit)
    x = np.repeat(rng.random(n // per_unit), per_unit)
    every = threshold(0.5, mixed=explore)(x[:, None])
    action = (rng.random(len(x)) < every[:, 1]).astype(int)
    chance = np.clip(np.where(action == 0, 0.8 * (1 - x) + 0.1, 0.2) + luck, 0, 1)
    units = np.arange(len(x)) // per_unit
    return Logged.of(x, action, every[np.arange(len(x)), action], rng.random(len(x)) < chance, (0, 1), units.tolist())


def coverage(rng: Any, runs: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for n, explore, per_unit in (
        (500, 0.3, 1),
        (2000, 0.3, 1),
        (2000, 0.1, 1),
        (6000, 0.1, 1),
        (6000, 0.3, 5),
        (2000, 0.0, 1),
    ):
        cut = 0.7
        truth = 0.2 * cut + 0.8 * (1 - cut) ** 2 / 2 + 0.1 * (1 - cut)
        results = [
            evaluate(logged(rng, n, explore, per_unit), threshold(cut), resamples=400, seed=i) for i in range(runs)
        ]
        shown = [r for r in results if not r.refused]
        row: dict[str, Any] = {"n": n, "explore": explore, "per_unit": per_unit, "refused": 1 - len(shown) / runs}
        row["ess"] = float(np.mean([r.ess for r in results]))
        for name in ("ips", "snips", "doubly robust"):
            ends = [(e.low, e.high) for r in shown for e in r.estimates if e.name == name]
            if ends:
                hits = sum(low <= truth <= high for low, high in ends)
                width = float(np.mean([high - low for low, high in ends]))
                row[name] = {**rate(hits, len(ends)), "width": width, "shown": len(ends) / runs}
        found.append(row)
    return found


# The budget's controller -------------------------------------------------------------------------------------------


def least_harm(budget: float, n: int, factor: Callable[[float], float]) -> float:
    """The least mean harm within the budget, knowing what each time of the day will cost, of time-varying mixes."""
    f = np.array([factor(i / n) for i in range(n)])
    cost, harm = np.array([s.cost for s in SETTINGS]), np.array([s.harm or 0.0 for s in SETTINGS])
    if budget >= cost[0] * f.sum():
        return 0.0
    points = []
    for price in np.geomspace(1e-3, 1e3, 4000):
        chosen = (harm + price * np.outer(f, cost)).argmin(axis=1)
        points.append((float((cost[chosen] * f).sum()), float(harm[chosen].mean())))
    spend, mean = np.array(points[::-1]).T
    return float(np.interp(budget, spend, mean))


def one_day(rng: Any, budget: float, n: int, factor: Callable[[float], float]) -> dict[str, float]:
    control = Budget(SETTINGS, budget, expected=n)
    harm = spent = highest = 0.0
    refused = 0
    for i in range(n):
        now = T0 + DAY * i / n
        setting = control.choose(now, now).setting
        cost = min(setting.cost * factor(i / n) * rng.exponential(), 0.1)
        if not control.reserve(0.1, now, now).ok:
            refused += 1
            continue
        control.settle(0.1, cost, now, now)
        harm, spent = harm + (setting.harm or 0.0), spent + cost
        highest = max(highest, control.spent + control.pending)
    served = max(n - refused, 1)
    return {"spent": spent / budget, "harm": harm / served, "refused": refused / n, "highest": highest / budget}


def days(rng: Any, n: int = 10_000) -> list[dict[str, Any]]:
    kinds: dict[str, Callable[[float], float]] = {
        "steady": lambda x: 1.0,
        "dearer by half from noon": lambda x: 1.0 if x < 0.5 else 1.5,
        "a wave": lambda x: 1 + 0.5 * float(np.sin(2 * np.pi * x)),
        "crafted: five times as dear from 9 to 15": lambda x: 5.0 if 0.375 < x < 0.625 else 1.0,
    }
    found: list[dict[str, Any]] = []
    for name, factor in kinds.items():
        for budget in (45.0, 60.0, 80.0):
            seen = [one_day(rng, budget, n, factor) for _ in range(3)]
            row = {k: float(np.mean([s[k] for s in seen])) for k in ("spent", "harm", "refused")}
            row["highest"] = max(s["highest"] for s in seen)
            found.append({"traffic": name, "budget": budget, **row, "least": least_harm(budget, n, factor)})
    return found


def crafted_rush(burst: float) -> dict[str, float]:
    """20,000 requests in an hour, every one made to cost five large answers."""
    control, spent = Budget(SETTINGS, 60.0, expected=10_000, burst=burst), 0.0
    for i in range(20_000):
        now = T0 + 3600 * i / 20_000
        if control.reserve(0.05, now, now).ok:
            control.settle(0.05, 0.05, now, now)
            spent += 0.05
    return {"burst": burst, "spent": spent / 60, "bound": min(1.0, burst + 1 / 24)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--months", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="parts to run again, put beside the other parts' last results")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rng, began = np.random.default_rng(options.seed), time.perf_counter()
    ope_runs = max(options.runs, 20)
    results: dict[str, Any] = {"months": options.months, "runs": options.runs, "ope_runs": ope_runs}
    parts: dict[str, Callable[[], Any]] = {
        "false_alarms": lambda: false_alarms(rng, options.months),
        "loss_delays": lambda: loss_delays(rng, options.runs),
        "drift_delays": lambda: drift_delays(rng, options.runs),
        "restores": lambda: restores(rng, options.runs),
        "coverage": lambda: coverage(rng, ope_runs),
        "days": lambda: days(rng),
        "rush": lambda: [crafted_rush(b) for b in (1.0, 0.3, 0.1)],
    }
    if options.only:
        results = json.loads((HERE / "results" / "promise_watch.json").read_text()) | {"ope_runs": ope_runs}
    for name in options.only or parts:
        results[name] = parts[name]()
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    asked = ("git", "-C", str(HERE), "rev-parse", "--short", "HEAD")
    commit = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    command = f"python benchmarks/promise_watch.py --months {options.months} --runs {options.runs}"
    if options.only:
        command += f" --only {' '.join(options.only)}"
    earlier = results.get("head", "")
    results["head"] = (
        earlier
        + ("; then " if earlier else "")
        + (
            f"{datetime.date.today()}, commit {commit}, seed {options.seed}, {where}, "
            f"{time.perf_counter() - began:.0f} s: `{command} --write`"
        )
    )
    print(page(results))
    if options.write:
        (HERE / "results" / "promise_watch.json").write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "results" / "promise_watch.md").write_text(page(results))


if __name__ == "__main__":
    main()
