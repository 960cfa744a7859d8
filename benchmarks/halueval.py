"""Hallucinated or not, of HaluEval's 4,507 answers without a document: what can be told by their looks and meaning.

HaluEval general (arXiv 2305.11747, MIT): ChatGPT's answers to instructions, marked by people. There is neither a
document nor a second draw, so words, alignment, inference and self-check have nothing to hold an answer against. Five
folds: each is judged by a ladder fitted on the other four. Baselines: the majority, the answer's length, and the words
that it shares with the question, each cut where it is best on the other four. Intervals are bootstraps over answers.

    python benchmarks/halueval.py --data $SPRAT_DATA [--kept FOLDER] [--write]
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

from sprat.factuality.check_ladder import Labelled, Ladder, ladder
from sprat.factuality.cuts import best_cut
from sprat.factuality.support import shared
from sprat.measure.calibration import auroc, ece
from sprat.measure.resampling import Estimate, bootstrap, wilson

SEED, FOLDS = 0, 5
RISKS = (0.1, 0.2)


def read(data: Path) -> list[Labelled]:
    """Every answer with its question in the document's place."""
    with gzip.open(data / "halueval_general" / "general.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [
        Labelled(r["response"], r["query"], str(r["hallucination"]).lower() == "false", str(i))
        for i, r in enumerate(rows)
    ]


def balanced(said: np.ndarray, wrong: np.ndarray) -> float:
    """The mean of the two classes' recalls; `said` and `wrong` are 1 for hallucinated."""
    return float((said[wrong == 1].mean() + (1 - said[wrong == 0]).mean()) / 2)


def by_ladder(made: Ladder, rows: list[Labelled], folds: np.ndarray) -> dict[str, np.ndarray | dict[str, list[float]]]:
    """Verdicts, doubts, which were sure, and the ledger."""
    said, doubt, sure = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows), bool)
    ledger: dict[str, list[float]] = {}
    for fold in range(FOLDS):
        at = np.flatnonzero(folds == fold)
        found = made.fit([r for r, f in zip(rows, folds, strict=True) if f != fold], SEED)
        told = found.check([rows[i].claim for i in at], [rows[i].document for i in at])
        said[at] = [f.unsupported for f in told.findings]
        doubt[at] = [f.doubt for f in told.findings]
        sure[at] = [f.sure for f in told.findings]
        for line in told.ledger:
            held = ledger.setdefault(line.rung, [0.0, 0.0, 0.0])
            ledger[line.rung] = [a + b for a, b in zip(held, (line.came, line.stopped, line.seconds), strict=True)]
    return {"said": said, "doubt": doubt, "sure": sure, "ledger": ledger}


def by_score(score: np.ndarray, wrong: np.ndarray, folds: np.ndarray) -> dict[str, Any]:
    """A baseline: more of the score is more doubt; the sign and the cut are of the other folds."""
    said, doubt = np.zeros(len(wrong)), np.zeros(len(wrong))
    ranks = np.unique(score, return_inverse=True)[1] / max(1, len(np.unique(score)) - 1)
    for fold in range(FOLDS):
        inside, at = folds != fold, folds == fold
        turned = ranks if auroc(ranks[inside], wrong[inside]) >= 0.5 else 1 - ranks
        said[at] = turned[at] >= best_cut(turned[inside], wrong[inside])
        doubt[at] = turned[at]
    return {"said": said, "doubt": doubt}


def measured(told: dict[str, Any], wrong: np.ndarray) -> dict[str, Any]:
    """Balanced accuracy and AUROC with intervals."""
    found: dict[str, Any] = {
        "balanced accuracy": bootstrap(balanced, told["said"], wrong, seed=SEED, times=500),
        "AUROC": bootstrap(lambda d, y: auroc(d, y), told["doubt"], wrong, seed=SEED, times=500),
    }
    if "sure" in told:
        sure = told["sure"]
        found |= {"ece": ece(told["doubt"], wrong), "ledger": told["ledger"], "stopped": int(sure.sum())}
        found["wrong"] = int((told["said"][sure] != wrong[sure]).sum())
    return found


def _text(e: Estimate) -> str:
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def main() -> None:
    """Judge, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kept", type=Path, help="a folder where each way's findings are kept, to go on from")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    began = time.process_time()
    rows = read(given.data)
    wrong = np.array([not r.supported for r in rows], np.float64)
    folds = np.random.default_rng(SEED).permutation(len(rows)) % FOLDS
    found: dict[str, Any] = {
        "length of the answer (baseline)": measured(by_score(_lengths(rows), wrong, folds), wrong),
        "words shared with the question (baseline)": measured(by_score(_shared(rows), wrong, folds), wrong),
    }
    ways = {
        "look alone": ladder("look", at_risk=1e-6),
        "meaning alone": ladder("meaning", at_risk=1e-6),
        "look, meaning": ladder("look", "meaning", at_risk=1e-6),
        **{f"ladder at risk {risk}": ladder("look", "meaning", at_risk=risk) for risk in RISKS},
    }
    for name, made in ways.items():
        path = None if given.kept is None else given.kept / f"halueval {name}.npz"
        if path is not None and path.exists():
            with np.load(path) as held:
                told = {k: held[k] for k in ("said", "doubt", "sure")} | {"ledger": json.loads(str(held["ledger"]))}
        else:
            told = by_ladder(made, rows, folds)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, **{**told, "ledger": json.dumps(told["ledger"])})  # pyright: ignore[reportArgumentType]
        found[name] = measured(told, wrong)
        print(name, _text(found[name]["balanced accuracy"]), _text(found[name]["AUROC"]), told["ledger"], flush=True)
    if given.write:
        _write(found, wrong, time.process_time() - began)


def _lengths(rows: list[Labelled]) -> np.ndarray:
    return np.array([float(len(r.claim.split())) for r in rows])


def _shared(rows: list[Labelled]) -> np.ndarray:
    return np.array([shared(r.claim, r.document) for r in rows])


def _write(found: dict[str, Any], wrong: np.ndarray, seconds: float) -> None:
    body = [{"way": "majority", "balanced accuracy": "0.500", "AUROC": "0.500", "ECE": "", "CPU-s per 1,000": "0"}]
    risks: list[dict[str, str]] = []
    for name, told in found.items():
        row = {"way": name, "balanced accuracy": _text(told["balanced accuracy"]), "AUROC": _text(told["AUROC"])}
        spent = sum(line[2] for line in told.get("ledger", {}).values())
        row |= {"ECE": f"{told['ece']:.3f}" if "ece" in told else ""}
        body.append(row | {"CPU-s per 1,000": f"{1000 * spent / len(wrong):.2f}" if "ledger" in told else ""})
        if name.startswith("ladder"):
            n, lost = told["stopped"], told["wrong"]
            low, high = wilson(lost / n, n) if n else (0.0, 1.0)
            line = {"way": name, "stopped early": f"{n:,}"}
            line |= {"of these wrong": f"{lost / n:.1%} [{low:.1%}, {high:.1%}]" if n else "none stopped"}
            for rung, (came, stopped, _) in told["ledger"].items():
                line[f"{rung}: came, stopped"] = f"{came:,.0f}, {stopped:,.0f}"
            risks.append(line)
    text = [
        "# HaluEval: answers without a document",
        f"{len(wrong):,} answers, {wrong.mean():.1%} hallucinated by people's marks. Five folds; 95 % intervals.",
        "Nothing here knows a fact: what is told apart is what kind of answer tends to be wrong.",
        "",
        *table(body),
        "## Does the risk hold on rows that taught nothing?",
        "",
        *table(risks),
    ]
    command = "python benchmarks/halueval.py --data $SPRAT_DATA --write"
    plain = json.loads(json.dumps(found, default=lambda e: list(e)))
    write("halueval", {"about": header(command, SEED, seconds), "ways": plain}, text)


if __name__ == "__main__":
    sys.exit(main())
