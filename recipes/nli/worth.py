"""Measures what the small inference model is worth on pairs that it was not trained on, and writes it down.

    python recipes/nli/worth.py --data $SPRAT_DATA --summedits benchmarks/results/summedits.json

Accuracy with 95 % bootstrap intervals over premises; beside it the commonest label, and a logistic regression on the
hypothesis's words and pairs of words alone, learnt from the same set's rows to learn from. Where a set says entailment
or not, so does the model: entailment above one half. SummEdits is benchmarks/summedits.py's, zero-shot.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from nli_pairs import Row, held_out, training
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sprat.measure.resampling import bootstrap
from sprat.nli.embedded import EMBEDDED, SmallNli

CHECKER = "SummaC ZS"
BEST = "by MiniCheck's way, the best of five"
NAMES = {
    "snli": "SNLI, held-out premises of dev, three labels",
    "mnli": "MNLI, held-out premises of dev (matched and mismatched), three labels",
    "qnli": "QNLI, held-out questions of dev, answers or not",
    "rte": "RTE, GLUE dev, entailed or not",
}
SAID = (
    "Weak: trained here on a few ten thousand pairs over static word vectors, far below a cross-encoder from the hub "
    "(which reach about .90 on SNLI and MNLI), and better on short plain sentences, numbers and names than on "
    "inference that needs knowledge or the order of words."
)


def labels_of(rows: list[Row]) -> tuple[np.ndarray, bool]:
    """The labels, and whether they only say entailment or not (then 0 and 1)."""
    found = np.array([r.label for r in rows])
    return (np.minimum(found, 1), True) if (found == 3).any() else (found, False)


def hypothesis_only(learn: list[Row], rows: list[Row]) -> float:
    """The accuracy of a classifier that never sees the premise."""
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2), LogisticRegression(max_iter=500))
    model.fit([r.hypothesis for r in learn], labels_of(learn)[0])
    return float((model.predict([r.hypothesis for r in rows]) == labels_of(rows)[0]).mean())


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=EMBEDDED)
    parser.add_argument("--summedits", type=Path)
    given = parser.parse_args()
    nli, measured = SmallNli(given.weights), list[dict[str, Any]]()
    learn = training(given.data)
    for name, rows in held_out(given.data).items():
        labels, two = labels_of(rows)
        found = nli.probabilities([(r.premise, r.hypothesis) for r in rows])
        right = ((found[:, 0] <= 0.5) == labels if two else found.argmax(axis=1) == labels).astype(float)
        units = [r.hypothesis if name == "qnli" else r.premise for r in rows]
        e = bootstrap(lambda v: float(v.mean()), right, units=units, times=1000, seed=0)
        own = [r for r in learn if r.source == ("supergen rte" if name == "rte" else name)]
        measured.append(
            {"on": NAMES[name], "of": "accuracy", "value": e.value, "low": e.low, "high": e.high, "n": len(rows)}
            | {
                "majority": float(np.bincount(labels).max() / len(labels)),
                "hypothesis_only": hypothesis_only(own, rows),
            }
        )
    if given.summedits is not None:
        told = json.loads(given.summedits.read_text())
        for domain, e in told[CHECKER].items():
            if domain == "cpu":
                continue
            of = {"on": f"SummEdits, {domain}, by SummaC zero-shot", "of": "balanced accuracy", "majority": 0.5}
            measured.append(of | {k: e[k] for k in ("value", "low", "high", "n")})
        of = {"on": f"SummEdits, mean of domains, {BEST}", "of": "balanced accuracy", "majority": 0.5}
        measured.append(of | {k: told["MiniCheck-style"]["mean of domains"][k] for k in ("value", "low", "high", "n")})
    rounded = [{k: round(v, 4) if isinstance(v, float) else v for k, v in m.items()} for m in measured]
    record = {"weights": nli.name, "said": SAID, "measured": rounded}
    given.weights.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(nli.worth)


if __name__ == "__main__":
    main()
