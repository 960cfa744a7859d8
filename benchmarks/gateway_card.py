"""Do the decision card's intervals hold, and is a minimum quality kept, on real outcomes that nothing was fitted on?

RouteLLM's MMLU and GSM8K (Mixtral-8x7B before GPT-4) and the aquarium (fry before mackerel). A signal is fitted on 40 %
of the rows (at most 4,000). Calibration rows are drawn with replacement from all others, whose rates within a bin are
the truth; each draw cuts its own bins. A miss is a bin whose true rate lies outside of its interval. A minimum quality
q is broken by a draw if the small model's true rate, over the rows that it keeps (lower bound at least q), is below q.
As a control that must fail, MMLU's calibration rows are of other subjects than the rows measured.

Run: SPRAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/gateway_card.py [--draws 300] [--seed 0] [--write]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from measured import header, table, trusts, write

from sprat import signals as s
from sprat.data import Lessons
from sprat.study.certify import clopper_pearson
from sprat.study.job import load
from sprat.study.quality import Curve, curve, interval
from sprat.study.split import FIT_MOST, FIT_SHARE

SIZES, QUALITIES = (300, 1000, 3000), (0.5, 0.7, 0.8, 0.9)
NOTE = """Coverage: of the bins of all draws, the share whose true rate lies within the 95 % interval, ± 1.96 standard
errors over the draws; below: the true rate is under the lower bound (2.5 % expected at most). Width: of the intervals
as the card gives them, monotone; own width: of each bin's interval before it gives way to its neighbours. ECE: the mean
distance of the predicted rate to the true one, weighed by rows; "trust itself" takes the signal's number for the
probability, "one rate" the mean of all calibration rows. Kept small: the share of rows with a lower bound of at least
q; good: the true rate among them, the mean over the draws that keep any [2.5, 97.5 % of draws]; broken: the share of
all draws in which that is below q, with its exact 95 % interval. Where few draws keep any, those are the lucky ones,
and more of them are broken: nothing bounds that share.""".splitlines()


class Measured(NamedTuple):
    """A signal's trust on rows that it was not fitted on, both models' scores there, and the rows' groups."""

    data: str
    signal: str
    trust: np.ndarray
    scores: np.ndarray
    groups: np.ndarray


def measured(name: str, small: str, large: str, signals: dict[str, Any], seed: int) -> list[Measured]:
    """Each signal fitted on 40 % of the rows, at most 4,000, and read on the rest."""
    data = load(name, (small, large)).of_models((small, large))
    order = np.random.default_rng(seed).permutation(len(data))
    n = min(round(FIT_SHARE * len(order)), FIT_MOST)
    fit, pool = data.take(order[:n]), data.take(order[n:])
    lessons, blind = Lessons.of(fit.unlabelled, (small, large)), pool.unlabelled
    groups = np.array([e.request.group or "" for e in pool])
    found: list[Measured] = []
    for word, signal in signals.items():
        learned = signal.fit(lessons) if hasattr(signal, "fit") else signal
        found.append(Measured(name, word, trusts(learned, blind, small), pool.scores((small, large)), groups))
    return found


class Told(NamedTuple):
    """What one draw's table says of the rows measured: per bin and per row."""

    covered: np.ndarray
    below: np.ndarray
    width: np.ndarray
    own: np.ndarray
    ece: float
    by_trust: float
    by_rate: float
    kept: list[tuple[float, float]]


def told(of: Measured, drawn: np.ndarray, rows: np.ndarray) -> Told:
    """A table of the drawn calibration rows against the true rates of `rows`."""
    found = curve(of.trust[drawn], of.scores[drawn], np.arange(len(drawn)), 0)
    trust, good = of.trust[rows], of.scores[rows, 0]
    place, seen = places(found, trust)
    true = np.array([good[(place == b) & seen].mean() if ((place == b) & seen).any() else np.nan for b in bins(found)])
    there = np.isfinite(true)
    low, high, value = found.low[:, 0], found.high[:, 0], found.value[:, 0]
    covered, below = (low <= true) & (true <= high), true < low
    weight = np.array([((place == b) & seen).sum() for b in bins(found)])[there] / max(1, seen.sum())
    ece = float((weight * np.abs(value - true)[there]).sum())
    by_trust = np.array([trust[(place == b) & seen].mean() if there[b] else np.nan for b in bins(found)])
    rate = of.scores[drawn, 0].mean()
    bound = np.where(seen, low[place], 0.0)
    kept = [_kept(bound >= q, good) for q in QUALITIES]
    return Told(
        covered[there],
        below[there],
        (high - low)[there],
        _own(of, drawn, found)[there],
        ece,
        float((weight * np.abs(by_trust - true)[there]).sum()),
        float((weight * np.abs(rate - true)[there]).sum()),
        kept,
    )


def _own(of: Measured, drawn: np.ndarray, found: Curve) -> np.ndarray:
    """The width of each bin's own interval."""
    place, _ = places(found, of.trust[drawn])
    good = of.scores[drawn, 0]
    ends = [interval(good[place == b], np.arange(int((place == b).sum()))) for b in bins(found)]
    return np.array([high - low for _, low, high, _ in ends])


def bins(found: Curve) -> range:
    """The bins' places."""
    return range(len(found.starts))


def places(found: Curve, trust: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's bin, and whether a trust like it was seen at all: as the gateway reads the table."""
    place = np.clip(np.searchsorted(found.starts, trust, side="right") - 1, 0, len(found.starts) - 1)
    return place, (trust >= found.starts[0]) & (trust <= found.top)


def _kept(kept: np.ndarray, good: np.ndarray) -> tuple[float, float]:
    return float(kept.mean()), float(good[kept].mean()) if kept.any() else float("nan")


def drawn(of: Measured, n: int, draws: int, seed: int, shifted: bool) -> list[Told]:
    """Tables of `draws` draws of n rows; `shifted` draws from half of the groups and measures on the other half."""
    rng = np.random.default_rng(seed)
    every, found = np.arange(len(of.trust)), list[Told]()
    names = np.unique(of.groups)
    for _ in range(draws):
        half = rng.permutation(names)[: len(names) // 2]
        seen = every[np.isin(of.groups, half)] if shifted else every
        rest = every[~np.isin(of.groups, half)] if shifted else every
        found.append(told(of, rng.choice(seen, n), rest))
    return found


def summary(of: Measured, n: int, found: Sequence[Told], shifted: bool) -> dict[str, Any]:
    """One row of the record."""
    covered, below = (np.concatenate([getattr(f, name) for f in found]) for name in ("covered", "below"))
    per_draw = [float(f.covered.mean()) for f in found]  # bins of a draw share rows: draws are what is independent
    error = 1.96 * float(np.std(per_draw, ddof=1)) / len(found) ** 0.5
    qualities: list[dict[str, Any]] = []
    for i, q in enumerate(QUALITIES):
        shares, goods = np.array([f.kept[i] for f in found]).T
        some = goods[np.isfinite(goods)]
        broken = int((some < q).sum())
        qualities.append(
            {
                "q": q,
                "kept small": float(shares.mean()),
                "draws that keep any": len(some),
                "good": [float(some.mean()), *np.quantile(some, [0.025, 0.975]).tolist()] if len(some) else None,
                "broken": [broken / len(found), *clopper_pearson(broken, len(found))],
            }
        )
    return {
        "data": of.data + (", other subjects" if shifted else ""),
        "signal": of.signal,
        "n": n,
        "pool": len(of.trust),
        "coverage": [float(covered.mean()), error],
        "below": float(below.mean()),
        "width": float(np.concatenate([f.width for f in found]).mean()),
        "own width": float(np.concatenate([f.own for f in found]).mean()),
        "ece": float(np.mean([f.ece for f in found])),
        "ece of the trust itself": float(np.mean([f.by_trust for f in found])),
        "ece of one rate": float(np.mean([f.by_rate for f in found])),
        "qualities": qualities,
    }


def shown(record: dict[str, Any]) -> list[str]:
    """The record as Markdown."""
    intervals = [
        {
            "data": r["data"],
            "signal": r["signal"],
            "n": str(r["n"]),
            "coverage": "{:.1f} ± {:.1f} %".format(*(100 * x for x in r["coverage"])),
            "below": f"{100 * r['below']:.1f} %",
            "width": f"{r['width']:.3f}",
            "own width": f"{r['own width']:.3f}",
            "ECE": f"{r['ece']:.3f}",
            "trust itself": f"{r['ece of the trust itself']:.3f}",
            "one rate": f"{r['ece of one rate']:.3f}",
        }
        for r in record["rows"]
    ]
    kept = [
        {
            "data": r["data"],
            "signal": r["signal"],
            "n": str(r["n"]),
            "q": f"{k['q']:g}",
            "kept small": f"{100 * k['kept small']:.1f} %",
            "good": "{:.3f} [{:.3f}, {:.3f}]".format(*k["good"]) if k["good"] else "",
            "draws that keep any": str(k["draws that keep any"]),
            "broken": "{:.1f} % [{:.1f}, {:.1f}]".format(*(100 * x for x in k["broken"])),
        }
        for r in record["rows"]
        for k in r["qualities"]
    ]
    return ["## Intervals and calibration", "", *table(intervals), "## A minimum quality", "", *table(kept)]


def main() -> None:
    """Measure all, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    began = time.monotonic()
    mixtral, gpt4 = "mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"
    routers = {"route: ridge on the gain": s.ridge_gain(), "route: encoder classifier": s.classifier()}
    reads = {"cascade: answer's features": s.answer_features(label="gain")}
    found = measured("routellm-mmlu", mixtral, gpt4, routers, given.seed)
    found += measured("routellm-gsm8k", mixtral, gpt4, {**dict(list(routers.items())[:1]), **reads}, given.seed)
    sure = {"cascade: mean log-probability": s.logprob()}
    found += measured("aquarium", "fry", "mackerel", {**dict(list(routers.items())[:1]), **sure}, given.seed)
    rows = [
        summary(of, n, drawn(of, n, given.draws, given.seed, False), False)
        for of in found
        for n in SIZES
        if n <= 2 * len(of.trust)
    ]
    control = found[0]
    rows.append(summary(control, 1000, drawn(control, 1000, given.draws, given.seed, True), True))
    command = "SPRAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/gateway_card.py --write"
    record = {"about": header(command, given.seed, time.monotonic() - began), "draws": given.draws, "rows": rows}
    title = "# The decision card: do its intervals hold, and is a minimum quality kept?"
    lines = [title, f"{given.draws} draws per row.", "", *NOTE, "", *shown(record)]
    print("\n".join(lines))
    if given.write:
        write("gateway_card", record, lines)


if __name__ == "__main__":
    main()
