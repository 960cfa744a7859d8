"""Does BERTScore agree with people? MiniLM and the static encoder beside BLEU and ROUGE, with intervals.

One layer for all sets, chosen by the mean tau on the pairs of WMT19 gu-en and kk-en, which nothing is measured on.
Summaries: Spearman within each document, averaged, one reference; interval over documents. WMT19 lt-en: Kendall-like
tau over pairs (better less worse, ties against); interval over references. BLEU is sacrebleu's sentence BLEU.

    python benchmarks/bertscore_marks.py --data $SPRAT_DATA --encoder FOLDER [--stage layer|realsumm|summeval|lt-en]
    python benchmarks/bertscore_marks.py --merge        (the table, from what the stages left)
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measured import RESULTS, header, table, write
from scipy.stats import rankdata

from sprat.similarity import HubTokens, StaticTokens, bertscore

PARTS = RESULTS / "bertscore_marks.json"
LAYERS = (1, 2, 3, 4, 5, 6)
CHOOSING = 2500
MARKS = {"realsumm": ("litepyramid_recall",), "summeval": ("coherence", "consistency", "fluency", "relevance")}


def lines(data: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a set."""
    with gzip.open(data / "research_only" / "summ_judged" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def lexical(texts: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
    """BLEU, ROUGE-1/2/L F and ROUGE-1 recall of each text."""
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    rouge = [scorer.score(r, t) for t, r in zip(texts, references, strict=True)]
    out = {"BLEU": [sacrebleu.sentence_bleu(t, [r]).score for t, r in zip(texts, references, strict=True)]}
    for name in ("rouge1", "rouge2", "rougeL"):
        out[f"ROUGE-{name[5:]} F"] = [s[name].fmeasure for s in rouge]
    out["ROUGE-1 R"] = [s["rouge1"].recall for s in rouge]
    return {k: np.array(v) for k, v in out.items()}


def everything(texts: Sequence[str], references: Sequence[str], encoder: str, layer: int) -> dict[str, np.ndarray]:
    """All measures of each text."""
    found: dict[str, np.ndarray] = {}
    for name, reader in (("MiniLM", HubTokens(encoder, layer)), ("static", StaticTokens())):
        scores = bertscore(texts, references, reader)
        found |= {f"{name} {w[0].upper()}": scores.of(w) for w in ("precision", "recall", "f")}
    return found | lexical(texts, references)


def interval(values: np.ndarray, seed: int = 0, times: int = 2000) -> list[float]:
    """The mean and its 95 % interval over resamples of the units."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (times, len(values)))
    return [float(values.mean()), *(float(q) for q in np.quantile(values[drawn].mean(axis=1), [0.025, 0.975]))]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, NaN where a side never varies."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def summaries(rows: list[dict[str, Any]], marks: Sequence[str], encoder: str, layer: int) -> dict[str, Any]:
    """Per mark and measure, the mean of the documents' correlations."""
    texts = [s["text"] for r in rows for s in r["systems"]]
    references = [r["ref"] for r in rows for _ in r["systems"]]
    found, ends = everything(texts, references, encoder, layer), np.cumsum([len(r["systems"]) for r in rows])
    out: dict[str, Any] = {}
    for mark in marks:
        gold = np.array([s["scores"][mark] for r in rows for s in r["systems"]], float)
        for name, scores in found.items():
            each = [spearman(scores[p], gold[p]) for p in np.split(np.arange(len(texts)), ends[:-1])]
            known = np.array([v for v in each if np.isfinite(v)])
            out[f"{mark}: {name}"] = interval(known)
    return out


def taus(rows: list[dict[str, Any]], score: Callable[[list[str], list[str]], dict[str, np.ndarray]]) -> dict[str, Any]:
    """Per measure, the tau over pairs; pairs of one reference are resampled together."""
    texts = [t for r in rows for t in (r["better"], r["worse"])]
    found = score(texts, [r["ref"] for r in rows for _ in range(2)])
    _, unit = np.unique([r["ref"] for r in rows], return_inverse=True)
    counts = np.bincount(unit)
    drawn = np.random.default_rng(0).integers(0, len(counts), (2000, len(counts)))
    out: dict[str, Any] = {}
    for name, scores in found.items():
        won = np.where(scores[::2] > scores[1::2], 1.0, -1.0)
        sums = np.bincount(unit, won)
        low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])
        out[name] = [float(won.mean()), float(low), float(high)]
    return out


def stage(name: str, data: Path, encoder: str) -> None:
    """Measure one set and add it to what the stages left."""
    record = json.loads(PARTS.read_text()) if PARTS.exists() else {}
    start = time.process_time()
    if name == "layer":
        by = {}
        for layer in LAYERS:
            reader = HubTokens(encoder, layer)
            by[layer] = [
                taus(lines(data, f"wmt19_{p}")[:CHOOSING], lambda t, r, e=reader: {"f": bertscore(t, r, e).f})["f"][0]
                for p in ("gu-en", "kk-en")
            ]
        record["layer"] = {"tau": {str(k): v for k, v in by.items()}, "chosen": max(by, key=lambda k: np.mean(by[k]))}
    else:
        layer = int(record["layer"]["chosen"])
        if name == "lt-en":
            record[name] = taus(lines(data, "wmt19_lt-en"), lambda t, r: everything(t, r, encoder, layer))
        else:
            record[name] = summaries(lines(data, name), MARKS[name], encoder, layer)
    record.setdefault("cpu seconds", {})[name] = round(time.process_time() - start)
    PARTS.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record[name], indent=1))


def merge() -> None:
    """Write results/bertscore_marks.*."""
    record = json.loads(PARTS.read_text())
    shown = lambda v: "{:.3f} [{:.3f}, {:.3f}]".format(*v)  # noqa: E731
    sets = {"lt-en": record["lt-en"]}
    for name, marks in MARKS.items():
        for mark in marks:
            title = f"{name} {mark.removeprefix('litepyramid_')}"
            sets[title] = {k.split(": ")[1]: v for k, v in record[name].items() if k.startswith(f"{mark}: ")}
    order = ["lt-en", "realsumm recall", "summeval relevance", "summeval coherence", "summeval consistency",
             "summeval fluency"]  # fmt: skip
    body = [{"measure": m, **{s: shown(sets[s][m]) for s in order}} for m in sets["lt-en"]]
    layers = [{"layer": k, "gu-en": f"{a:.3f}", "kk-en": f"{b:.3f}"} for k, (a, b) in record["layer"]["tau"].items()]
    bars = {
        "REALSumm recall, MiniLM R": (sets["realsumm recall"]["MiniLM R"], 0.45),
        "SummEval relevance, MiniLM R": (sets["summeval relevance"]["MiniLM R"], 0.30),
        "WMT19 lt-en tau, MiniLM F": (sets["lt-en"]["MiniLM F"], 0.30),
    }
    text = [
        "# BERTScore on human marks",
        f"all-MiniLM-L6-v2, layer {record['layer']['chosen']} for all, chosen on {CHOOSING} pairs of gu-en and kk-en.",
        "Summaries: Spearman within documents, averaged; lt-en: tau over 2,500 pairs, ties count against.",
        "",
        *table([{"bar": k, "at least": str(b), "measured": shown(v)} for k, (v, b) in bars.items()]),
        *table(body),
        "How the layer was chosen (tau of F):",
        "",
        *table(layers),
    ]
    command = "python benchmarks/bertscore_marks.py --data $SPRAT_DATA --encoder FOLDER --stage ...; --merge"
    about = header(command, 0, sum(record["cpu seconds"].values()))
    write("bertscore_marks", {**record, "about": about}, text)


def main() -> None:
    """Run a stage, all of them, or merge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--encoder")
    parser.add_argument("--stage", choices=["layer", "lt-en", "realsumm", "summeval"])
    parser.add_argument("--merge", action="store_true")
    given = parser.parse_args()
    if not given.merge:
        for name in [given.stage] if given.stage else ["layer", "lt-en", "realsumm", "summeval"]:
            stage(name, given.data, given.encoder)
    if given.merge or not given.stage:
        merge()


if __name__ == "__main__":
    sys.exit(main())
