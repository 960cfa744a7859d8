"""Trains the toxicity scorer on Davidson et al.'s tweets and on ordinary instructions and answers.

    python recipes/safety/toxicity.py --data $SPRAT_DATA --out src/sprat/safety/weights/toxicity.npz

A tweet teaches as it is, and between the words of ordinary texts, as it would stand in a window of a longer one.
Of twenty parts of the units, 14 teach, 1 chooses the strength, 2 calibrate and 3 (`TEST`) are only measured
(benchmarks/safety.py). Same data and seed, same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from learn import curve, design, fitted, pooled, rounded, store
from scipy.sparse import vstack
from sets import ordinary, pages, part, tweets, within

from sprat.measure.calibration import auroc
from sprat.safety.linear import Weights

BUCKETS, WIDTH, PAGES, SEED = 1 << 17, 24, 1600, 0
TEST, CALIBRATE, CHOOSE = (0, 1, 2), (3, 4), (5,)
STRENGTHS = (5.0, 15.0)


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    told = parser.parse_args()
    rows = [*tweets(told.data), *ordinary(told.data)]
    where = np.array([part(r.unit) for r in rows])
    y = np.array([r.unsafe for r in rows], float)
    x, owner = design([r.text for r in rows], BUCKETS, WIDTH)
    taught = ~np.isin(where, (*TEST, *CALIBRATE, *CHOOSE))
    teach = taught[owner]
    filled = within([r for r, keep in zip(rows, taught.tolist(), strict=True) if keep], WIDTH, SEED)
    more, whole = design([r.text for r in filled], BUCKETS, WIDTH)
    one = np.bincount(whole)[whole] == 1  # of two windows nobody knows which holds what was marked
    z = vstack([x[teach], more[one]]).tocsr()
    aim = np.concatenate([y[owner][teach], np.array([float(r.unsafe) for r in filled])[whole][one]])
    choose = np.isin(where, CHOOSE)
    best, least = None, np.inf
    for strength in STRENGTHS:
        model = fitted(z, aim, strength, SEED)
        top = pooled(model.decision_function(x), owner, len(rows))[choose, 0]
        lost = float(np.mean(np.logaddexp(0, top) - y[choose] * top))
        print(f"C {strength}: log loss {lost:.4f}, AUROC {auroc(1 / (1 + np.exp(-top)), y[choose]):.4f}", flush=True)
        if lost < least:
            best, least, chosen = model, lost, strength
    table, scale, bias = rounded(best)
    top = pooled(x @ (table * scale) + bias, owner, len(rows))
    held = np.isin(where, CALIBRATE)
    long = pages([r for r, keep in zip(rows, held.tolist(), strict=True) if keep], PAGES, SEED)
    longer, whose = design([r.text for r in long], BUCKETS, WIDTH)
    above = pooled(longer @ (table * scale) + bias, whose, len(long))
    both = np.concatenate([y[held], [float(r.unsafe) for r in long]])
    made = curve(np.concatenate([top[held], above]), both)
    rate = float(both.mean())
    about = {"strength": chosen, "taught": len(np.unique(owner[teach])), "calibrated": int(held.sum())}
    store(told.out, Weights(table, scale, bias, WIDTH, made, rate, "toxicity", about))
    print(made, rate, about, told.out.stat().st_size)


if __name__ == "__main__":
    main()
