"""What a copied draft saves a corrector: answers that it leaves, changes in places, and rewrites.

    SPRAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/aligner.py

The corrector's own greedy text stands for the correction, and the answer before it is that text unchanged, with one
token in twenty replaced, or another text of the same length: so exactness is known, and no corrector must be trained.
mackerel writes about 13 tokens (NumPy), stories260K 100 (torch, where SPRAT_DATA is set). CPU time of one thread, runs
interleaved; the texts must be the same, else it stops.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

import sprat
from sprat.aquarium.problems import problems
from sprat.decoding.aligner import Predicted
from sprat.whitebox.decoder import Leaf

ROUNDS, KINDS = 3, ("unchanged", "1 in 20 replaced", "another text")


@dataclass(frozen=True, repr=False)
class Counting(Leaf):
    """A model that counts its forward passes."""

    model: Any
    passes: list[int] = field(default_factory=list[int], compare=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    name = property(lambda self: self.model.name)
    vocabulary = property(lambda self: self.model.vocabulary)
    positions = property(lambda self: self.model.positions)
    at_once = property(lambda self: self.model.at_once)
    fingerprint = property(lambda self: self.model.fingerprint)
    max_tokens = property(lambda self: self.model.max_tokens)

    def open(self, batch: int) -> Any:
        """A session that counts."""
        session = self.model.open(batch)
        feed = session.feed

        def counted(*args: Any, **more: Any) -> Any:
            self.passes.append(1)
            return feed(*args, **more)

        session.feed = counted
        return session


def drafts(vocabulary: Any, texts: list[str], kind: str) -> list[str]:
    """The answers that are corrected into `texts`."""
    if kind == "unchanged":
        return texts
    if kind == "another text":
        return texts[1:] + texts[:1]
    rng, made = random.Random(7), list[str]()
    for text in texts:
        ids = vocabulary.encode(text)
        for place in range(rng.randrange(min(20, len(ids))), len(ids), 20):
            ids[place] = rng.choice(ids)
        made.append(vocabulary.decode(ids))
    return made


def measured(model: Any, prompts: list[str], tokens: int) -> list[dict[str, str]]:
    """One row per kind of answer."""
    counting = Counting(model)
    texts = [r.text for r in (model(p, max_tokens=tokens) for p in prompts)]
    length = np.mean([len(model.vocabulary.encode(t)) for t in texts])
    rows: list[dict[str, str]] = []
    for kind in KINDS:
        told = drafts(model.vocabulary, texts, kind)
        copying, plain, passes = list[float](), list[float](), {True: 0, False: 0}
        for turn in range(ROUNDS):
            for copied in (True, False):
                one = Predicted(counting if turn == 0 else model)
                counting.passes.clear()
                began = time.process_time()
                said = [one(p, max_tokens=tokens, **({"prediction": a} if copied else {}))
                        for p, a in zip(prompts, told, strict=True)]  # fmt: skip
                (copying if copied else plain).append(time.process_time() - began)
                passes[copied] = len(counting.passes) if turn == 0 else passes[copied]
                assert [r.text for r in said] == texts, "not the corrector's own text"
        gain = np.array(plain) / np.array(copying)
        rows.append({
            "model": f"{model.name}, {length:.0f} tokens",
            "the answer was": kind,
            "passes, copied": f"{passes[True] / len(prompts):.1f}",
            "passes, plain": f"{passes[False] / len(prompts):.1f}",
            "ms, copied": f"{1000 * np.median(copying) / len(prompts):.1f}",
            "ms, plain": f"{1000 * np.median(plain) / len(prompts):.1f}",
            "gain": f"{np.median(gain):.2f}x [{gain.min():.2f}, {gain.max():.2f}]",
        })  # fmt: skip
    return rows


def batched(model: Any, prompts: list[str], tokens: int) -> dict[str, str]:
    """All prompts at once: decoded plainly in a batch, against copied one after another."""
    texts = [r.text for r in model.batch(prompts, max_tokens=tokens)]
    asked = [sprat.Request.of(p, prediction=t) for p, t in zip(prompts, texts, strict=True)]
    times = {"plain": list[float](), "copied": list[float]()}
    for _ in range(ROUNDS):
        for way in times:
            began = time.process_time()
            Predicted(model).batch(asked if way == "copied" else prompts, max_tokens=tokens)
            times[way].append(time.process_time() - began)
    gain = np.array(times["plain"]) / np.array(times["copied"])
    return {"model": model.name, "requests at once": str(len(prompts)),
            "gain of copying": f"{np.median(gain):.2f}x [{gain.min():.2f}, {gain.max():.2f}]"}  # fmt: skip


def main() -> None:
    """Measure and write the record."""
    began = time.monotonic()
    sorts = [p.prompt for p in problems(4000, 9) if p.task == "sort" and p.difficulty == 5][:12]
    tiny = sprat.tiny("mackerel")
    rows, batches = measured(tiny, sorts, 32), [batched(tiny, sorts, 32)]
    if data := os.environ.get("SPRAT_DATA"):
        stories = sprat.local(str(Path(data) / "models" / "stories260K"))
        names = ("Lily", "Tom", "Ben", "Mia")
        openings = [f"Once upon a time, {name} had a" for name in names]
        rows += measured(stories, openings, 100)
        batches.append(batched(stories, openings, 100))
    about = header("SPRAT_DATA=DIR OMP_NUM_THREADS=1 python benchmarks/aligner.py", 7, time.monotonic() - began)
    text = [
        "# Aligner: copying the answer that is corrected",
        "Greedy; every text is the corrector's own. A pass reads at most 64 tokens; the prompt's is counted.",
        f"Median CPU time per answer of {ROUNDS} interleaved runs [least, most of the paired ratios], one thread.",
        "",
        *table(rows),
        "Unchanged answers, many at once: copied one after another against decoded as one batch:",
        "",
        *table(batches),
    ]
    write("aligner", {"about": about, "rows": rows, "batches": batches}, text)
    print("\n".join(text))


if __name__ == "__main__":
    main()
