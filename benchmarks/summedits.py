"""Checkers on SummEdits: balanced accuracy on eight domains, thresholds chosen on the other seven, and what they cost.

SummEdits (arXiv 2305.14540, Apache-2.0): summaries of a document, edited; is each still consistent with it? A rung is
one function: (document, summary) pairs to scores, higher is more consistent. What learns (SummaC-Conv) learns on the
other seven domains, like the threshold. Intervals are bootstraps over documents; CPU seconds are this machine's.

    python benchmarks/summedits.py --data $SPRAT_DATA [--only NAME,...] [--scores FOLDER] [--write]

With --scores, each rung's scores are kept in FOLDER, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

from sprat.factuality import alignscore, minicheck, summac
from sprat.measure.calibration import auroc
from sprat.nli import small
from sprat.nli.summac_conv import learn, summac_conv
from sprat.similarity import StaticTokens, bertscore
from sprat.uncertainty.self_check import words

Pair = tuple[str, str]
Rung = Callable[[Sequence[Pair]], np.ndarray]
SEED, TIMES = 0, 1_000


@dataclass(frozen=True)
class Rows:
    """The set: pairs, whether each is consistent (n,), its domain (n,), and its document (n,)."""

    pairs: list[Pair]
    consistent: np.ndarray
    domain: np.ndarray
    document: np.ndarray


def read(data: Path) -> Rows:
    """All domains."""
    found: list[tuple[str, str, int, str]] = []
    for path in sorted((data / "summedits").glob("summedits_*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            name = path.name.removeprefix("summedits_").removesuffix(".json.gz")
            found += [(r["doc"], r["summary"], int(r["label"]), name) for r in json.load(file)]
    places = {d: i for i, d in enumerate(dict.fromkeys(f[0] for f in found))}
    return Rows(
        [(d, s) for d, s, _, _ in found],
        np.array([c for _, _, c, _ in found]),
        np.array([n for _, _, _, n in found]),
        np.array([places[d] for d, _, _, _ in found]),
    )


def unigram(pairs: Sequence[Pair]) -> np.ndarray:
    """The share of the summary's words that the document has; a baseline."""
    held = {d: set(words(d)) for d in {d for d, _ in pairs}}
    told = [(held[d], words(s)) for d, s in pairs]
    return np.array([np.mean([w in there for w in said]) if said else 0.0 for there, said in told])


def rouge(pairs: Sequence[Pair]) -> np.ndarray:
    """ROUGE-2 precision of the summary against the document, each text tokenized once (as rouge_score, checked)."""
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    tokenizer = DefaultTokenizer(use_stemmer=True)
    grams = {t: Counter(pairwise(tokenizer.tokenize(t))) for t in dict.fromkeys(t for pair in pairs for t in pair)}
    found = [(grams[d] & grams[s]).total() / max(1, grams[s].total()) for d, s in pairs]
    scorer = RougeScorer(["rouge2"], use_stemmer=True)
    assert all(abs(scorer.score(*p)["rouge2"].precision - f) < 1e-9 for p, f in zip(pairs[:9], found, strict=False))
    return np.array(found)


def alignment(pairs: Sequence[Pair]) -> np.ndarray:
    """BERTScore by static tokens: how well each of the summary's words has a like in the document (its precision)."""
    return bertscore([s for _, s in pairs], [d for d, _ in pairs], StaticTokens()).precision


def by(checker: Any) -> Rung:
    """A checker's scores."""
    return lambda pairs: np.array([c.score for c in checker.check(pairs)])


class Remembered:
    """The embedded model, which judges each pair once: several ways of SummaC read the same probabilities."""

    def __init__(self) -> None:
        self.nli, self.known = small(), dict[Pair, np.ndarray]()
        self.name, self.worth = self.nli.name, self.nli.worth

    def probabilities(self, pairs: Sequence[Pair]) -> np.ndarray:
        """What is known, and what is not yet."""
        missing = [p for p in dict.fromkeys(pairs) if p not in self.known]
        self.known |= dict(zip(missing, self.nli.probabilities(missing), strict=True))
        return np.array([self.known[p] for p in pairs]).reshape(-1, 3)


ONCE = Remembered()
# What a way costs by itself is what the first way that asked for its probabilities cost.
COSTS_AS = {"SummaC ZS without contradiction": "SummaC ZS", "SummaC-Conv": "SummaC ZS"}
RUNGS: dict[str, Rung] = {
    "unigram": unigram,
    "ROUGE-2 precision": rouge,
    "static BERTScore precision": alignment,
    "SummaC ZS": by(summac(ONCE)),
    "SummaC ZS without contradiction": by(summac(ONCE, against="none")),
    "AlignScore-style": by(alignscore()),
    "MiniCheck-style": by(minicheck()),
}


class Conv:
    """SummaC-Conv, its histograms made once, and learnt for each domain on the others."""

    name = "SummaC-Conv"

    def __init__(self, rows: Rows) -> None:
        self.rows, self.model = rows, summac_conv(ONCE)

    def histograms(self) -> np.ndarray:
        """The mean histogram of each summary (n, 50)."""
        return np.array([h.mean(axis=0) if len(h) else np.zeros(50) for h in self.model.histograms(self.rows.pairs)])

    def scores(self, means: np.ndarray, domain: str) -> np.ndarray:
        """The log-odds of every row by what the domains other than this one taught; the seven's are in-sample."""
        away = self.rows.domain != domain
        fitted = learn(means[away], self.rows.consistent[away].astype(float), 1.0)
        return means @ fitted[:-1] + fitted[-1]


def balanced(said: np.ndarray, consistent: np.ndarray) -> float:
    """The mean of the two classes' recalls."""
    return float((said[consistent == 1].mean() + (1 - said[consistent == 0]).mean()) / 2)


def threshold(scores: np.ndarray, consistent: np.ndarray) -> float:
    """The cut of the best balanced accuracy."""
    order = np.argsort(scores, kind="stable")
    s, y = scores[order], consistent[order]
    below_bad = np.concatenate([[0], np.cumsum(y == 0)]) / max(1, (y == 0).sum())
    above_good = 1 - np.concatenate([[0], np.cumsum(y == 1)]) / max(1, (y == 1).sum())
    cuts = np.concatenate([[-np.inf], (s[1:] + s[:-1]) / 2, [np.inf]])
    usable = np.concatenate([[True], s[1:] > s[:-1], [True]])
    return float(cuts[np.argmax(np.where(usable, below_bad + above_good, -1))])


def judged(rows: Rows, scores_for: Callable[[str], np.ndarray]) -> dict[str, Any]:
    """Per domain, and their mean: balanced accuracy with intervals over documents, and AUROC."""
    domains = sorted(set(rows.domain.tolist()))
    said, found = np.zeros(len(rows.pairs)), dict[str, Any]()
    for name in domains:
        scores, here = np.nan_to_num(scores_for(name), nan=-1e9), rows.domain == name
        said[here] = scores[here] > threshold(scores[~here], rows.consistent[~here])
        found[name] = {"auroc": auroc(_unit(scores[here]), rows.consistent[here])}
    rng = np.random.default_rng(SEED)
    draws = {name: _resampled(rows, said, name, rng) for name in domains}
    for name in domains:
        here = rows.domain == name
        low, high = np.nanquantile(draws[name], [0.025, 0.975]).tolist()
        found[name] |= {"value": balanced(said[here], rows.consistent[here]), "low": low, "high": high}
        found[name] |= {"n": int(here.sum())}
    means = np.nanmean([draws[name] for name in domains], axis=0)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    of = float(np.mean([found[name]["value"] for name in domains]))
    area = float(np.mean([found[name]["auroc"] for name in domains]))
    whole = {"value": of, "low": low, "high": high, "auroc": area, "n": len(rows.pairs)}
    return {"mean of domains": whole, **found}


def _unit(scores: np.ndarray) -> np.ndarray:
    ranks = np.unique(scores, return_inverse=True)[1]
    return ranks / max(1, ranks.max())


def _resampled(rows: Rows, said: np.ndarray, domain: str, rng: np.random.Generator) -> np.ndarray:
    """Balanced accuracies of resampled documents of one domain, (TIMES,)."""
    members = [np.flatnonzero(rows.document == d) for d in np.unique(rows.document[rows.domain == domain])]
    out = np.empty(TIMES)
    for t in range(TIMES):
        at = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        y = rows.consistent[at]
        out[t] = balanced(said[at], y) if 0 < y.sum() < len(y) else np.nan
    return out


def timed(name: str, rung: Callable[[], np.ndarray], folder: Path | None) -> tuple[np.ndarray, float]:
    """Scores and CPU seconds, from the folder where they are kept."""
    path = None if folder is None else folder / f"{name.replace(' ', '_').replace(',', '')}.npz"
    if path is not None and path.exists():
        with np.load(path) as kept:
            return kept["scores"], float(kept["seconds"])
    began = time.process_time()
    scores = rung()
    spent = time.process_time() - began
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, scores=scores, seconds=spent)
    return scores, spent


def main() -> None:
    """Score, judge, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    began = time.process_time()
    rows = read(given.data)
    only = set(filter(None, given.only.split(",")))
    found, spent = dict[str, Any](), dict[str, float]()
    for name, rung in RUNGS.items():
        if not only or name in only:
            scores, seconds = timed(name, lambda rung=rung: rung(rows.pairs), given.scores)
            spent[name] = seconds = max(seconds, spent.get(COSTS_AS.get(name, ""), 0.0))
            found[name] = judged(rows, lambda _, scores=scores: scores) | {"cpu": 1000 * seconds / len(rows.pairs)}
            print(name, json.dumps(found[name]["mean of domains"]), round(found[name]["cpu"], 2), flush=True)
    conv = Conv(rows)
    if not only or conv.name in only:
        means, seconds = timed(conv.name, conv.histograms, given.scores)
        seconds = max(seconds, spent.get(COSTS_AS[conv.name], 0.0))
        found[conv.name] = judged(rows, lambda domain: conv.scores(means, domain))
        found[conv.name] |= {"cpu": 1000 * seconds / len(rows.pairs)}
        print(conv.name, json.dumps(found[conv.name]["mean of domains"]), round(found[conv.name]["cpu"], 2))
    if given.write:
        _write(found, rows, time.process_time() - began)


def _write(found: dict[str, Any], rows: Rows, seconds: float) -> None:
    form = "{value:.3f} [{low:.3f}, {high:.3f}]"
    domains = sorted(set(rows.domain.tolist()))
    body = [{"checker": "majority, or chance"} | {"mean of domains": "0.500", "AUROC": "0.500"}]
    body[0] |= {"CPU-s per 1,000": "0"} | dict.fromkeys(domains, "0.500")
    for name, told in found.items():
        row = {"checker": name, "mean of domains": form.format(**told["mean of domains"])}
        row |= {"AUROC": f"{told['mean of domains']['auroc']:.3f}", "CPU-s per 1,000": f"{told['cpu']:.2f}"}
        body.append(row | {d: form.format(**told[d]) for d in domains})
    text = [
        "# Checkers on SummEdits",
        f"{len(rows.pairs):,} summaries of {len(set(rows.document.tolist()))} documents, "
        f"{rows.consistent.mean():.1%} consistent. Balanced accuracy; the threshold of each domain, and what",
        "SummaC-Conv learns, are of the other seven; intervals are 95 %, over documents. Inference is nli.small().",
        "",
        *table(body),
    ]
    command = "python benchmarks/summedits.py --data $SPRAT_DATA --write"
    write("summedits", {"about": header(command, SEED, seconds), **found}, text)


if __name__ == "__main__":
    sys.exit(main())
