"""How many crafted requests are named, and how many ordinary ones: attacks found by search on recorded prompts.

    python benchmarks/gateway_crafted.py [--short] [--write]

A router (ridge regression of the large model's gain on embeddings) and what ordinary prompts read like are learnt on a
third of the prompts, the level from which on a request is named is the second third's, and both rates are measured on
the third. An attack takes a prompt that the router trusts the small model with and adds blocks of 16 words (or what
stands for them), each the best of many drawn, until the router no longer does; only those that succeed are counted.
The universal prefix is climbed word by word on prompts that the router was fitted on, as in arXiv 2501.01818.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

from sprat.encoders import StaticEncoder
from sprat.encoders.static import EMBEDDED
from sprat.signals.ordinary import Ordinary
from sprat.study.certify import clopper_pearson
from sprat.study.job import load
from sprat.study.unusual import FALSE, quantile

WORDS = ("zq", "xv", "kj", "wp", "theorem", "lattice", "0x7f", "proof", "qubit", "eigen", "rhombic", "gluon", "axiom")
SIGNS = [chr(i) for i in range(33, 127)]
ROUNDS = (1, 4, 8)
FIT_ROWS = (4000, 600)  # what a study learns from at most, and what is left of 1,500 rows
SHIFTED = {"gsm8k": ("gsm8k/test.jsonl.gz", "question"), "dolly": ("dolly_3k/dolly_3k.jsonl.gz", "instruction")}


class Router:
    """Trust in the small model by a ridge regression of the large one's gain; `cut` sends half of the fit rows on."""

    def __init__(self, prompts: Sequence[str], gains: np.ndarray) -> None:
        self.encoder = StaticEncoder()
        x = self._rows(prompts)
        self.weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ -gains)
        self.cut = float(np.median(x @ self.weights))

    def trusts(self, prompts: Sequence[str]) -> np.ndarray:
        """The trust in each, (n,)."""
        return self._rows(prompts) @ self.weights if len(prompts) else np.zeros(0)

    def _rows(self, prompts: Sequence[str]) -> np.ndarray:
        return np.c_[self.encoder.encode(list(prompts)).astype(np.float64), np.ones(len(prompts))]


def unusual(router: Router, ordinary: Ordinary, prompts: Sequence[str]) -> np.ndarray:
    """How far the part stands out without which the small model would be trusted, (n,); -inf where there is none."""
    cut = [ordinary.parts(p) for p in prompts]
    trusts = iter(router.trusts([part.rest for parts in cut for part in parts]))
    turned = [[part.contrast for part in parts if next(trusts) >= router.cut] for parts in cut]
    return np.array([max(found, default=-np.inf) for found in turned])


def blocks(rng: np.random.Generator, ordinary: Sequence[str]) -> dict[str, Callable[[str], str]]:
    """What each attack adds at a time, given what it has added so far; `ordinary` are other dear prompts."""
    words = np.array([w for w in _pieces() if w.isalpha() and w.isascii() and len(w) > 2])
    theirs = np.array([w for prompt in ordinary for w in re.findall(r"[a-z]{2,}", prompt.lower())])
    sentences = [s for p in ordinary for s in re.split(r"(?<=[.!?])\s+|\n+", p) if 40 < len(s) < 200]
    return {
        "nonsense words": lambda _: " ".join(rng.choice(WORDS, 16)),
        "dictionary words": lambda _: " ".join(words[rng.integers(len(words), size=16)]),
        "words of dear prompts": lambda _: " ".join(theirs[rng.integers(len(theirs), size=16)]),
        "random characters": lambda _: "".join(rng.choice(SIGNS, 64)),
        "one word repeated": lambda so_far: " ".join([(so_far.split() or [words[rng.integers(len(words))]])[0]] * 16),
        "sentences of dear prompts": lambda _: sentences[rng.integers(len(sentences))],
    }


def _pieces() -> list[str]:
    with np.load(EMBEDDED, allow_pickle=False) as found:
        return found["pieces"].tobytes().decode().split("\n")


def attacked(
    router: Router, prompts: Sequence[str], block: Callable[[str], str], tries: int, before: bool
) -> dict[int, list[str]]:
    """Those of the prompts that so many blocks turn, with the blocks; each block is the best of `tries`."""
    made: dict[int, list[str]] = {rounds: [] for rounds in ROUNDS}
    for prompt in prompts:
        added = ""
        for rounds in range(1, max(ROUNDS) + 1):
            more = [f"{added} {block(added)}".strip() for _ in range(tries)]
            texts = [f"{m} {prompt}" if before else f"{prompt} {m}" for m in more]
            values = router.trusts(texts)
            best = int(values.argmin())
            added = more[best]
            if rounds in made and values[best] < router.cut:
                made[rounds].append(texts[best])
    return made


def universal(router: Router, rng: np.random.Generator, prompts: Sequence[str], words: int, steps: int) -> str:
    """A prefix that lowers the mean trust over the prompts, climbed by changing a word at a time."""
    known = [w for w in _pieces() if w.isalpha() and w.isascii() and len(w) > 2]
    best = [known[i] for i in rng.integers(len(known), size=words)]
    least = np.inf
    for _ in range(steps):
        tried = list(best)
        tried[rng.integers(words)] = known[rng.integers(len(known))]
        mean = float(router.trusts([f"{' '.join(tried)} {p}" for p in prompts]).mean())
        if mean < least:
            best, least = tried, mean
    return " ".join(best)


def attacks(
    router: Router, rng: np.random.Generator, easy: Sequence[str], own: Sequence[str], dear: Sequence[str], short: bool
) -> dict[str, tuple[int, list[str]]]:
    """By kind, how many prompts were attacked and the texts that turned; `own` and `dear` are rows fitted on."""
    tries, most = (10, 25) if short else (24, 120)
    found: dict[str, tuple[int, list[str]]] = {}
    for name, block in blocks(rng, dear).items():
        for before in (False, True):
            for rounds, texts in attacked(router, easy[:most], block, tries, before).items():
                size = rounds if name.startswith("sentences") else 16 * rounds
                found[f"{name}, {size}, {'before' if before else 'after'}"] = len(easy[:most]), texts
    for words in (16, 64):
        prefix = universal(router, rng, own[:20], words, 100 if short else 1000)
        texts = [f"{prefix} {p}" for p in easy[:most]]
        turned = router.trusts(texts) < router.cut
        found[f"universal prefix, {words}, before"] = (
            len(texts),
            [t for t, yes in zip(texts, turned, strict=True) if yes],
        )
    return found


def rate(unusual_: np.ndarray, level: float) -> dict[str, Any]:
    """How many are named, with the exact interval; None where there are none."""
    n, named = len(unusual_), int((unusual_ > level).sum())
    return {"n": n, "named": named, "interval": list(clopper_pearson(named, n)) if n else None}


def shown(found: dict[str, Any]) -> str:
    """A rate with its interval, in per cent."""
    if not found["n"]:
        return "–"
    low, high = found["interval"]
    return f"{100 * found['named'] / found['n']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def shifted() -> dict[str, list[str]]:
    """Ordinary prompts of other kinds, where SPRAT_DATA has them."""
    made: dict[str, list[str]] = {}
    for name, (path, column) in SHIFTED.items():
        with gzip.open(Path(os.environ["SPRAT_DATA"]) / path, "rt") as lines:
            rows = [json.loads(line) for line in lines][:1500]
        made[name] = ["\n".join(filter(None, [r[column], r.get("input", "")])) for r in rows]
    return made


def main() -> None:
    """Find the attacks, and name them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    given, began = parser.parse_args(), time.perf_counter()
    rows = load("routellm-mmlu")
    scores = rows.scores(["mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"])
    prompts, gains = [e.request.text for e in rows], scores[:, 1] - scores[:, 0]
    rng = np.random.default_rng(0)
    fit, held, test = np.array_split(rng.permutation(len(prompts)), 3)
    router = Router([prompts[i] for i in fit], gains[fit])
    trust = router.trusts(prompts)

    def which(places: np.ndarray, dear: bool) -> list[str]:
        return [prompts[i] for i in places if (trust[i] < router.cut) == dear]

    easy = [p for p in which(test, False) if len(p.split()) >= 8]
    made = attacks(router, rng, easy, which(fit, False), which(fit, True), given.short)
    ordinary_prompts = {"MMLU (like the calibration rows)": which(test, True)}
    for name, texts in shifted().items():
        values = router.trusts(texts)
        ordinary_prompts[name] = [t for t, v in zip(texts, values, strict=True) if v < router.cut]
    found: dict[str, Any] = {}
    for n in FIT_ROWS:
        learnt = time.perf_counter()
        ordinary = Ordinary.of([[prompts[i]] for i in fit[:n]])
        learnt = time.perf_counter() - learnt
        level = quantile(unusual(router, ordinary, which(held, True)))
        assert level is not None, "MMLU has rows enough"
        looked = time.perf_counter()
        plain = {name: rate(unusual(router, ordinary, texts), level) for name, texts in ordinary_prompts.items()}
        looked = (time.perf_counter() - looked) / sum(map(len, ordinary_prompts.values()))
        found[str(n)] = {
            "level": level,
            "bytes": len(ordinary.known),
            "seconds to learn": learnt,
            "ms a look": 1000 * looked,
            "ordinary": plain,
            "crafted": {name: rate(unusual(router, ordinary, texts), level) for name, (_, texts) in made.items()},
        }
    first = found[str(FIT_ROWS[0])]
    columns = [f"named, %; learnt from {n:,}" for n in FIT_ROWS]
    lines = [
        f"RouteLLM's MMLU; {len(which(held, True)):,} calibration rows that go to the dear model; stated: at most"
        f" {100 * FALSE:g} % of such rows are named. Intervals are 95 %, Clopper-Pearson.",
        "",
        "## Ordinary prompts that go to the dear model",
        "",
        *table(
            [
                {"prompts": name, "dear": f"{r['n']:,}"}
                | {c: shown(found[str(n)]["ordinary"][name]) for c, n in zip(columns, FIT_ROWS, strict=True)}
                for name, r in first["ordinary"].items()
            ]
        ),
        "## Crafted prompts",
        "",
        *table(
            [
                {"added": name, "turned": f"{len(texts)} of {tried}"}
                | {c: shown(found[str(n)]["crafted"][name]) for c, n in zip(columns, FIT_ROWS, strict=True)}
                for name, (tried, texts) in made.items()
            ]
        ),
        "; ".join(
            f"learnt from {n:,} prompts in {f['seconds to learn']:.1f} s, {f['bytes'] / 1024:.0f} KiB;"
            f" {f['ms a look']:.1f} ms a look"
            for n, f in zip(FIT_ROWS, found.values(), strict=True)
        )
        + ".",
    ]
    print("\n".join(lines))
    if given.write:
        about = header("python benchmarks/gateway_crafted.py --write", 0, time.perf_counter() - began)
        write("gateway_crafted", {"about": about, "learnt from": found}, ["# Crafted requests", *lines])


if __name__ == "__main__":
    main()
