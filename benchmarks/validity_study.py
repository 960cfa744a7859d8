"""Does the promise hold as the product makes it? Its own candidates, list and certificate on resampled outcomes.

MMLU-Pro, Llama-3.1-8B-Instruct before gemini-1.5-pro-002, with Phi-3-mini and mathstral-7B as peers. The fit rows are
those that a study of these data cuts, fixed; candidates are proposed, scored, screened and listed by `sprat.study` for
each promise and planned n. Calibration rows are drawn with replacement from all other rows, whose mean is the truth.
A violation is a certified setting whose mean loss there is above 0.

Run: SPRAT_DATA=... python benchmarks/validity_study.py [--resamples 1000] [--seed 0] [--write]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from measured import header, table, write

from sprat.data import Dataset
from sprat.encoders import StaticEncoder
from sprat.prices import Price, Prices, priced
from sprat.replay import Recording
from sprat.study.arrange import arrange
from sprat.study.candidates import propose
from sprat.study.certificate import check
from sprat.study.certify import Promise, by_unit, log_wealth, seed_from, shuffled, stop_at_failure
from sprat.study.evidence import Held, joined
from sprat.study.job import load
from sprat.study.memo import Remembered
from sprat.study.run import _certificate, _checked, _held, silent, warm
from sprat.study.score import Facts
from sprat.study.split import Cut, cut
from sprat.study.tried import Asked, Tried, replace_places, savings, try_all

SMALL, LARGE = "Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002"
PEERS = ("Phi-3-mini-4k-instruct", "mathstral-7B")
DELTA, SIZES, ISSUED = 0.1, (300, 1000, 3000), 10
PROMISES = (Promise("within", 0.02), Promise("within", 0.05), Promise("keep", 0.98))
BARS = {"within 0.02": (0.13, 0.19, 0.22), "within 0.05": (0.26, 0.31, 0.33)}  # share kept small per size, saving calls
NOTIONAL = Prices(dict.fromkeys((SMALL, *PEERS), Price(0.1, 0.1)) | {LARGE: Price(2.0, 8.0)})
PRICED = "Notional prices, nobody's: $0.1 per million tokens of the small models, $2 read, $8 written of the large."
NOTE = f"""All in per cent; ± is one standard error, at least that of a rate of delta; a refusal saves 0. Listed:
how many settings, how many of them break the promise on the pool: where none does, nothing listed can be wrong. Naive:
the violations, on 300 draws, of the cheapest allowed setting whose mean loss on the draw is at most 0. Issued by
`sprat.study.run`: {ISSUED} draws of each cell; verified, same setting (or one that saves 1e-16).""".splitlines()


class Studied(NamedTuple):
    """One variant of the data, fitted: what is tried on the fit rows, and every candidate's trust on the pool."""

    data: Dataset
    fit: Facts
    pool: Facts
    tried: Tried
    held: Held


def studied(data: Dataset, memo: Remembered) -> Studied:
    """The product's own path from recorded calls to trusts on the pool; the list is that of the first cell."""
    asked = Asked(SMALL, LARGE, PEERS, PROMISES[0], DELTA)
    rows = cut(data := _checked(data, asked)[0])  # the models asked about alone
    pool = np.sort(np.concatenate([rows.calibration, rows.test]))
    facts, whole = Facts.of(data, asked.models, rows.fit), Recording(data)
    warm(data, asked, memo, whole)
    candidates = propose(data.take(rows.fit), SMALL, LARGE, PEERS, memo)
    found = try_all(candidates, whole, facts, rows.fit, SIZES[0], asked, silent)
    held = _held(found, whole, Cut(rows.fit, pool, pool[:0]), memo, silent)
    each = replace(facts.take(pool), units=np.arange(len(pool)))  # drawn rows are units of their own
    return Studied(data, facts.take(rows.fit), each, found, held)


def listed(of: Studied, promise: Promise, n: int) -> Tried:
    """What try_all gives for this promise and n: of its parts only the losses and the list depend on them."""
    old = of.tried
    loss = by_unit(promise.losses(of.fit.reference, old.outcome.score), of.fit.units.tolist())[:, old.allowed]
    order = arrange(loss, old.saving[old.allowed], n, DELTA, promise.top, seed=of.data.seed)
    return replace(old, list=replace_places(order, old.allowed))


def rate(hits: np.ndarray) -> dict[str, float]:
    mean = float(np.mean(hits))
    return {"rate": mean, "se": float(np.sqrt(max(mean * (1 - mean), DELTA * (1 - DELTA)) / len(hits)))}


def cell(of: Studied, promise: Promise, n: int, draws: int, seed: int) -> dict[str, Any]:
    """One promise at one size: the list fixed once, then certified (or refused) on each draw."""
    tried = listed(of, promise, n)
    assert (promise, n) != (PROMISES[0], SIZES[0]) or tried.list.places == of.tried.list.places, "not try_all's list"
    names, on_pool = [s.name for s in tried.listed], joined(tried, of.held.calibration, tried.listed, of.pool)
    losses = promise.losses(of.pool.reference, on_pool.score)
    truth, kept = losses.mean(axis=0), savings(on_pool, of.pool, dollars=False)
    saves = of.pool.costs[:, -1:] - on_pool.cost if tried.dollars else ~on_pool.large
    rows = np.random.default_rng([seed, n]).integers(0, len(of.pool), (draws, n))
    hashes, ends = [f"{of.data.hash}, draw {i} of seed {seed}" for i in range(draws)], []
    for part in np.array_split(np.arange(draws), max(1, draws * n // 150_000)):
        drawn = np.stack([shuffled(losses[rows[i]], seed_from(hashes[i])) for i in part], axis=1)
        wealth = log_wealth(drawn, promise.top, DELTA, tried.list.spread)
        for i, logs in zip(part, wealth, strict=True):
            end = stop_at_failure(np.exp(-logs), DELTA).certified
            while end is not None and not saves[rows[i], end].sum() > 1e-12:
                end = end - 1 if end else None
            ends.append(-1 if end is None else end)  # as in the product, nothing is certified that saves nothing
    for i in range(min(ISSUED, draws)):
        _compare(of, promise, tried, rows[i], hashes[i], names[ends[i]] if ends[i] >= 0 else None)
    shipped = (end := np.array(ends)) >= 0
    return {
        "promise": (kind := f"{promise.kind} {promise.level:g}"),
        "n": n,
        "listed": names,
        "violations": rate(shipped & (truth[end] > 1e-12)),
        "refused": float(np.mean(~shipped)),
        "kept small": float(np.mean(np.where(shipped, kept[end], 0.0))),
        "saved": float(np.mean(np.where(shipped, savings(on_pool, of.pool, tried.dollars)[end], 0.0))),
        "expected from the fit rows": tried.list.saving,
        "lengths": f"{len(names)}, {(truth > 1e-12).sum()} false",
        "bar": 0.0 if tried.dollars else BARS.get(kind, (0.0,) * 3)[SIZES.index(n)],
        "naive": naive(of, promise, tried, rows),
    }


def _compare(of: Studied, promise: Promise, tried: Tried, rows: np.ndarray, data_hash: str, end: str | None) -> None:
    """Issue the product's certificate on these rows, check it, and stop where it names another setting."""
    facts = replace(of.pool.take(rows), units=np.arange(len(rows)))
    held = replace(of.held, calibration=tuple(t.take(rows) for t in of.held.calibration))
    asked = Asked(SMALL, LARGE, PEERS, promise, DELTA)
    made = _certificate(replace(of.data, part_of=data_hash), facts, tried, held, asked, {})
    gained = savings(joined(tried, held.calibration, tried.listed, facts), facts, tried.dollars)
    worth = [s.name for s, gain in zip(tried.listed, gained, strict=True) if gain > 1e-9]  # more than rounding
    assert ((made.certified if made.certified in worth else None), check(made)) == (end, []), (made.certified, end)


def naive(of: Studied, promise: Promise, tried: Tried, rows: np.ndarray) -> dict[str, float]:
    """The control: of all allowed settings, the cheapest whose mean loss on the calibration rows is at most 0."""
    allowed = tried.allowed[np.argsort(-tried.saving[tried.allowed], kind="stable")]  # cheapest first
    found = joined(tried, of.held.calibration, [tried.settings[i] for i in allowed], of.pool)
    losses = promise.losses(of.pool.reference, found.score)
    counts = np.stack([np.bincount(r, minlength=len(losses)) for r in rows[:300]]).astype(float)
    passing = counts @ losses / rows.shape[1] <= 0
    return rate(passing.any(axis=1) & (losses.mean(axis=0)[passing.argmax(axis=1)] > 1e-12))


def shown(c: dict[str, Any]) -> dict[str, str]:
    row = {"promise": c["promise"], "n": str(c["n"]), "listed": c["lengths"], "violations": c["violations"]}
    row |= {key: f"{100 * c[key]:.1f}" for key in ("refused", "kept small", "saved")}
    row |= {"bar": f"{100 * c['bar']:.0f}" if c["bar"] else "", "control: naive": c["naive"]}
    return {k: f"{100 * v['rate']:.1f} ± {100 * v['se']:.1f}" if isinstance(v, dict) else v for k, v in row.items()}


def missed(c: dict[str, Any]) -> list[str]:
    """The bars that a cell misses."""
    where, wrong = f"{c['saving']}, {c['promise']}, n {c['n']}", c["violations"]
    found = [f"{where}: {wrong['rate']:.3f} violations"] if wrong["rate"] > DELTA + 2 * wrong["se"] else []
    return found + ([f"{where}: {c['kept small']:.3f} kept small"] if c["kept small"] < c["bar"] else [])


def page(record: dict[str, Any]) -> list[str]:
    """The record as Markdown, by line."""
    lines = ["# Does the promise hold, as the product makes it?", *(__doc__ or "").split("\n\n")[1].splitlines(), ""]
    for saving, about in record["variants"].items():
        lines += [f"## Saving {saving}", "", about["what"], ""]
        lines += table([shown(c) for c in record["cells"] if c["saving"] == saving])
    return [*lines, *NOTE, "", f"Bars missed: {'; '.join(record['bars missed']) or 'none'}."]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--resamples", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0, help="of the draws; the data's hash sets the fit rows")
    options.add_argument("--write", action="store_true", help="record under benchmarks/results")
    args = options.parse_args()
    began = time.perf_counter()
    data, memo = load("mmlu-pro"), Remembered(StaticEncoder())
    record: dict[str, Any] = {"resamples": args.resamples, "delta": DELTA, "variants": {}, "cells": []}
    for saving in ("calls", "dollars"):
        tried = (of := studied(data if saving == "calls" else priced(data, NOTIONAL), memo)).tried
        assert tried.dollars == (saving == "dollars") and len(tried.candidates) >= 15  # noqa: PT018
        refused = {c.name: why for c, why in zip(tried.candidates, tried.refused, strict=True)}
        what = f"{len(of.fit)} fit rows, {len(of.pool)} in the pool, {len(refused)} candidates of which "
        what += f"{sum(map(bool, refused.values()))} refused, {len(tried.settings)} settings, {len(tried.allowed)} "
        what += f"allowed; {args.resamples} draws; delta = {DELTA}. {PRICED if tried.dollars else 'No prices.'}"
        record["variants"][saving] = {"what": what, "candidates": refused}
        print(f"{time.perf_counter() - began:5.0f} s  {what}", flush=True)
        for promise, n in product(PROMISES, SIZES):
            record["cells"].append({"saving": saving} | cell(of, promise, n, args.resamples, args.seed))
            print(f"{time.perf_counter() - began:5.0f} s ", shown(record["cells"][-1]), flush=True)
    record["bars missed"] = [bar for c in record["cells"] for bar in missed(c)]
    command = " ".join(["SPRAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/validity_study.py", *sys.argv[1:]])
    record["about"], lines = header(command, args.seed, time.perf_counter() - began), page(record)
    print("\n".join(lines))
    if args.write:
        write("validity_study", record, lines)
    sys.exit(1 if record["bars missed"] else 0)


if __name__ == "__main__":
    main()
