"""A study's result made up for tests: simulated rows give the certificate and the table, so both can be checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sprat.study.certificate import issue
from sprat.study.certify import Promise
from sprat.study.result import (
    Bin,
    Driver,
    Feasibility,
    Interval,
    Metrics,
    PromisePoint,
    Result,
    Trace,
    Way,
    Weak,
)

SMALL, LARGE, PEER = "minnow-4b", "whale-2", "herring-8b"
HASH = "sha256:4c1f9a0be7d2" + "0" * 44 + "77e1aa90"
PRICES = {SMALL: (0.12, 0.05), PEER: (0.31, 0.12), LARGE: (4.10, 1.0)}
CASCADES = {
    "cascade on mean log-probability": 1.2,
    "cascade on min log-probability": 0.9,
    "cascade on the answer's features": 1.0,
    "cascade on agreement by kind": 1.9,
}
ROUTES = {
    "route by chance": 0.0,
    "route by prompt length": 0.15,
    "route by nearest neighbours": 0.45,
    "route by matrix factorization": 0.4,
    "route by mean of routers": 0.55,
    "route by category": 0.25,
}
REFUSED = {"route by category": "refused: not shown to beat prompt length"}
NASTY = '<script>alert("x")</script> & <b>bold</b>'


def around(values: np.ndarray) -> Interval:
    mean, half = float(values.mean()), 1.96 * float(values.std()) / len(values) ** 0.5
    return Interval(mean, mean - half, mean + half)


def scaled(x: Interval, by: float, start: float = 0.0) -> Interval:
    ends = sorted(start + by * v for v in (x.low, x.high))
    return Interval(start + by * x.value, *ends)


class Rows:
    """Simulated scores of the small and the large model, and each way's trust."""

    def __init__(self, n: int = 900, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        ease = rng.normal(size=n)
        self.small = (ease + 0.5 * rng.normal(size=n) > -0.45).astype(float)
        self.large = (ease + 1.3 * rng.normal(size=n) > -1.9).astype(float)
        self.trust = {k: w * (self.small + 0.35 * ease) + rng.normal(size=n) for k, w in {**CASCADES, **ROUTES}.items()}

    def stay(self, name: str, share: float) -> np.ndarray:
        return self.trust[name] >= np.quantile(self.trust[name], share)

    def score(self, stay: np.ndarray) -> np.ndarray:
        return np.where(stay, self.small, self.large)

    def cost(self, name: str, stay: np.ndarray) -> np.ndarray:
        always = PRICES[SMALL][0] * (1 if name.startswith("cascade") else stay)
        always = always + PRICES[PEER][0] * ("agreement" in name)
        return always + PRICES[LARGE][0] * ~stay


def result(*, shown: bool = True, priced: bool = True, prompt: str = "", kind: str = "keep") -> Result:
    """A result with every part filled; refused without `shown`, in calls without `priced`, `prompt` in an example."""
    rows = Rows()
    name = "cascade on agreement by kind"
    shares = (0.5, 0.42, 0.36, 0.3, 0.26, 0.22, 0.18) if shown else (0.16, 0.12, 0.08)
    level = (0.98 if shown else 0.99) if kind == "keep" else 0.02
    promise = Promise("keep" if kind == "keep" else "within", level)
    settings = [f"{name} at {s:.2f}" for s in shares]
    policy = np.stack([rows.score(rows.stay(name, s)) for s in shares], axis=1)
    losses = promise.losses(rows.large, policy)
    spread = np.square(losses).mean(axis=0)
    certificate = issue(
        promise, settings, losses, spread, 0.05,
        rows=len(losses), data_hash=HASH, date="2026-11-20", prices_date="2026-11-01" if priced else None,
    )  # fmt: skip
    assert (certificate.certified is not None) == shown
    at = shares[settings.index(certificate.certified)] if certificate.certified else 0.3
    ways = _ways(rows, name if shown else None, at, priced)
    best = next((w for w in ways if w.status == "certified"), None)
    return Result(
        name="support.jsonl",
        command=f"sprat study support.jsonl --small {SMALL} --large {LARGE} --keep {level}",
        version="0.1.0",
        date="2026-11-20",
        seed=certificate.seed,
        data_hash=HASH,
        notes=("3 rows left out: no score for every model.",),
        quality="exact match with the recorded target",
        small=SMALL,
        large=LARGE,
        peers=(PEER,),
        unit="dollars" if priced else f"calls to {LARGE}",
        rows=1500,
        units=1500,
        fit_rows=600,
        calibration_rows=900,
        test_rows=0,
        shown_on="the 900 calibration rows: not fitted on, but the choice was certified on them",
        prices={m: {"input": p[1], "output": 4 * p[1]} for m, p in PRICES.items() if priced or m != LARGE},
        prices_date="2026-11-01" if priced else None,
        verdict=_verdict(best, promise, priced),
        shown=shown,
        advice=("With 900 calibration rows about 61 % of the cost can be expected to be saved, refusals as nothing.",),
        certificate=certificate,
        ways=tuple(ways),
        metrics=tuple(_metrics(priced)),
        traces=tuple(_traces(rows, priced)),
        promises=tuple(_promises(promise, best, settings[0])),
        feasibility=(
            Feasibility(300, 0.21, 0.58, 0.74),
            Feasibility(900, 0.61, 0.04, 0.74),
            Feasibility(3000, 0.69, 0.0, 0.74),
        ),
        weak=tuple(_weak(prompt)),
        reliability=tuple(
            Bin(t, Interval(t**1.2, max(0.0, t**1.2 - 0.09), min(1.0, t**1.2 + 0.08)), 90)
            for t in (0.12, 0.31, 0.45, 0.58, 0.68, 0.77, 0.84, 0.9, 0.95, 0.99)
        ),
        drivers=(
            Driver("length of the prompt (characters)", Interval(-0.42, -0.48, -0.36)),
            Driver("group: refunds", Interval(-0.21, -0.27, -0.14)),
            Driver("digits in the prompt", Interval(0.06, -0.01, 0.13)),
        ),
    )


def plainer(found: Result) -> Result:
    """The same without groups, reliability, metrics, drivers or traces: what the least of recordings gives."""
    return replace(found, weak=(), reliability=(), metrics=(), drivers=(), traces=(), peers=())


def _verdict(best: Way | None, promise: Promise, priced: bool) -> str:
    level = f"{100 * promise.level:.4g}"
    words = (
        f"at least {level} % of {LARGE}'s quality"
        if promise.kind == "keep"
        else f"at most {level} points below {LARGE}"
    )
    if best is None:
        return (
            f"Not shown: on 900 calibration rows no cheaper way of working could be certified to give {words} "
            f"at 95 % confidence; serve {LARGE} alone."
        )
    assert best.saving is not None
    unit = "cost" if priced else f"calls to {LARGE}"
    return (
        f"Cascade on agreement by kind gives {words} at 95 % confidence, and saves "
        f"{100 * best.saving.value:.0f} % of the {unit}; {100 * best.large.value:.0f} % of requests still go to "
        f"{LARGE}."
    )


def _ways(rows: Rows, certified: str | None, at: float, priced: bool) -> list[Way]:
    found: list[tuple[Way, float]] = []

    def add(name: str, kind: str, score: np.ndarray, cost: np.ndarray, large: np.ndarray, status: str) -> None:
        quality, paid = around(score), around(cost)
        saving = scaled(paid if priced else around(large), -1 / (PRICES[LARGE][0] if priced else 1), 1.0)
        kept = scaled(quality, 1 / float(rows.large.mean()))
        slow = 0.4 + 1.9 * float(large.mean())
        routed = kind in ("route", "cascade") and status != "baseline"
        robust = {
            k: around((np.arange(300) % n == 0) * 1.0)
            for k, n in (("typos", 19), ("case and spacing", 45), ("crafted suffix", 6))
        }
        way = Way(name, kind, f"{kind}('{SMALL}', '{LARGE}')", (at,) if routed else (), status, quality, kept, saving,
                  paid if priced else None, around(large), slow, 2.6 * slow,
                  2.1 * slow if status == "certified" else None, None, False, robust if routed else {})  # fmt: skip
        found.append((way, paid.value))

    n = len(rows.small)
    zero, one = np.zeros(n), np.ones(n)
    add(f"{LARGE} alone", "alone", rows.large, PRICES[LARGE][0] * one, one, "reference")
    add(f"{SMALL} alone", "alone", rows.small, PRICES[SMALL][0] * one, zero, "tried")
    add(f"{PEER} alone", "alone", np.roll(rows.small, 7), PRICES[PEER][0] * one, zero, "tried")
    for name in (*CASCADES, *ROUTES):
        stay = rows.stay(name, at)
        status = REFUSED.get(name, "baseline" if name in ("route by chance", "route by prompt length") else "tried")
        kind = name.split()[0]
        add(
            name,
            kind,
            rows.score(stay),
            rows.cost(name, stay),
            ~stay * 1.0,
            "certified" if name == certified else status,
        )
    stay = rows.small >= rows.large
    add("oracle", "oracle", rows.score(stay), rows.cost("route", stay), ~stay * 1.0, "baseline")
    best = -1.0
    done: list[Way] = []
    for way, _ in sorted(found, key=lambda f: (f[1], -f[0].quality.value)):
        front = way.kind != "oracle" and way.quality.value > best
        best = max(best, way.quality.value) if way.kind != "oracle" else best
        done.append(replace(way, on_front=front))
    order = {"certified": 0, "reference": 1}
    return sorted(done, key=lambda w: order.get(w.status, 2))


def _traces(rows: Rows, priced: bool) -> list[Trace]:
    found: list[Trace] = []
    for name in (*CASCADES, *ROUTES):
        stays = [rows.stay(name, s) for s in np.linspace(0.02, 0.98, 30)]
        cost = [float((rows.cost(name, s) if priced else ~s).mean()) for s in stays]
        found.append(Trace(name, tuple(cost), tuple(float(rows.score(s).mean()) for s in stays)))
    return found


def _promises(promise: Promise, best: Way | None, way: str) -> list[PromisePoint]:
    keep = promise.kind == "keep"
    levels = (
        (0.999, 0.995, 0.99, 0.98, 0.97, 0.95, 0.92, 0.9) if keep else (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1)
    )
    points: list[PromisePoint] = []
    for i, level in enumerate(levels):
        if i < 2 or (best is None and level == promise.level):
            points.append(PromisePoint(level, None, None, None, (None, 12900, 2340, 2340)[i]))
        elif level == promise.level and best is not None:
            points.append(PromisePoint(level, way, best.saving, best.large.value, None))
        else:
            mean = 0.5 + 0.05 * i
            points.append(PromisePoint(level, way, Interval(mean, mean - 0.03, mean + 0.032), 1 - mean, None))
    return points


def _metrics(priced: bool) -> list[Metrics]:
    def near(x: float) -> Interval:
        return Interval(x, x - 0.03, x + 0.032)

    paid = near(0.21) if priced else None
    return [
        Metrics("cascade on agreement by kind", near(0.78), near(0.21), near(0.12), near(0.25), near(0.44), paid,
                near(0.88) if priced else None, near(132.0) if priced else None, near(0.61) if priced else None),
        Metrics("route by mean of routers", near(0.61), near(0.04), near(0.36), near(0.66), near(0.88), paid,
                near(0.8) if priced else None, near(21.0) if priced else None, None),
        Metrics("route by prompt length", near(0.57), None, near(0.41), near(0.71), near(0.93), paid, None, None, None),
    ]  # fmt: skip


def _weak(prompt: str) -> list[Weak]:
    example = {
        "prompt": prompt or "My order of 3 March came on the 19th. Until when may I send it back?",
        "target": "2 April",
        SMALL: "You may send it back within 14 days of the order, so until 17 March.",
        LARGE: "You may send it back within 14 days of delivery, so until 2 April.",
    }
    return [
        Weak("refunds", 61, Interval(0.52, 0.39, 0.65), Interval(0.93, 0.84, 0.98), Interval(0.41, 0.25, 0.55),
             (example,) * 2),
        Weak("prompts with invoice, total, vat", 140, Interval(0.66, 0.58, 0.74), Interval(0.84, 0.77, 0.9),
             Interval(0.18, 0.08, 0.28), (example,)),
        Weak("prompts with schedule", 88, Interval(0.6, 0.49, 0.7), Interval(0.78, 0.68, 0.86),
             Interval(0.18, 0.05, 0.31), ()),
    ]  # fmt: skip
