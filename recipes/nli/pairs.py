"""Reads the pairs that the small inference model learns from, and those held out of it, from the sets under SPRAT_DATA.

Rows of one premise (QNLI: one question) fall on one side: by the hash of its text. GLUE's RTE dev set is held out
whole, and so are SummEdits and HaluEval, of which nothing is read here. Labels: 0 entailment, 1 neutral,
2 contradiction, 3 "not entailment" (either of the two).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABELS = {"entailment": 0, "neutral": 1, "contradiction": 2, "not_entailment": 3}
EDITED = 9_000
HELD = {"snli": 0.2, "mnli": 0.2, "qnli": 0.25}


@dataclass(frozen=True, slots=True)
class Row:
    """A pair with its label, how much it counts, and the set that it is from."""

    premise: str
    hypothesis: str
    label: int
    weight: float
    source: str


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        text = file.read()
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def share(text: str) -> float:
    """A number in [0, 1) that is a text's own."""
    return int.from_bytes(hashlib.sha256(text.strip().lower().encode()).digest()[:6]) / 2**48


def _judged(root: Path, name: str) -> Iterator[tuple[Row, bool]]:
    """A set's rows, and whether each is held out; QNLI's sentence is the premise, its question the hypothesis."""
    for r in _rows(root / "nli" / f"{name}_dev.jsonl.gz"):
        premise, hypothesis = r["premise"].strip(), r["hypothesis"].strip()
        if not premise or not hypothesis or r["label"] not in LABELS:
            continue
        held = share(premise) < HELD[name]
        if name == "qnli":
            premise, hypothesis = hypothesis, premise
        yield Row(premise, hypothesis, LABELS[r["label"]], 0.5 if name == "qnli" else 1.0, name), held


def held_out(root: Path) -> dict[str, list[Row]]:
    """The held-out rows of SNLI, MNLI and QNLI, and GLUE's RTE dev set."""
    out = {name: [row for row, held in _judged(root, name) if held] for name in HELD}
    with gzip.open(root / "supergen" / "RTE.test.tsv.gz", "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file][1:]
    out["rte"] = [Row(p, h, LABELS[label], 1.0, "rte") for _, p, h, label in lines]
    return out


def training(root: Path, seed: int = 0) -> list[Row]:
    """The rows to learn from: what is not held out, rows that a language model wrote for RTE, and made-up edits."""
    rows = [row for name in HELD for row, held in _judged(root, name) if not held]
    for r in _rows(root / "supergen" / "RTE.train.json.gz"):
        rows.append(Row(r["text1"], r["text2"], LABELS[r["label"]], 0.5, "supergen rte"))
    made = list(edited(root, seed))
    return [*rows, *random.Random(seed).sample(made, min(EDITED, len(made)))]


_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w])")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")
_VERB = re.compile(
    r"\b(is|are|was|were|has|have|had|can|could|will|would|should|must|may|does|did)\b(?! not|n't| no\b)"
)


def edited(root: Path, seed: int) -> Iterator[Row]:
    """Sentences of public texts with the sentence itself, one made false, and one from elsewhere (as in FactCC).

    FactCC (arXiv 1910.12840) makes its training data so. A number or a name is replaced by another of the same text
    that the premise has not, or a verb is negated; words are left out of a claim that stays true.
    """
    rng = random.Random(seed)
    texts: list[str] = []
    for path, field in (("text_domains/wikitext2_valid", "text"), ("text_domains/web_noisy_ewt", "text"),
                        ("text_domains/speeches_us_presidents", "text"), ("dolly_3k/dolly", "input")):  # fmt: skip
        for file in root.glob(f"{path}*.gz"):
            texts += [str(r.get(field) or "") for r in _rows(file)]
    for text in texts:
        text = re.sub(r" @(\W)@ ", r"\1", text)
        text = re.sub(r" ([,.;:!?)])", r"\1", re.sub(r"\s+", " ", text))
        said = [s for s in re.split(r"(?<=[.!?])\s+(?=[A-Z])", text) if 8 <= len(s.split()) <= 45 and "<unk>" not in s]
        rng.shuffle(said)
        for at, sentence in enumerate(said[:40]):
            other = said[(at + 1) % len(said)]
            premise = sentence if rng.random() < 0.5 else " ".join(rng.sample([sentence, other], 2))
            if (false := _false(sentence, premise, text, rng)) is None:
                continue
            yield Row(premise, false, 2, 1.0, "edited")
            yield Row(premise, _shorter(sentence, rng), 0, 1.0, "edited")
            if rng.random() < 0.3 and other not in premise:
                yield Row(premise, other, 1, 1.0, "edited")


def _false(sentence: str, premise: str, text: str, rng: random.Random) -> str | None:
    ways = ["number", "name", "negation"]
    rng.shuffle(ways)
    for way in ways:
        if way == "negation":
            if found := list(_VERB.finditer(sentence)):
                at = rng.choice(found).end()
                return f"{sentence[:at]} not{sentence[at:]}"
            continue
        pattern = _NUMBER if way == "number" else _NAME
        found = list(pattern.finditer(sentence))
        others = sorted({m[0] for m in pattern.finditer(text)} - {m[0] for m in pattern.finditer(premise)})
        if way == "number":
            others += [str(rng.randint(2, 12)), str(rng.randint(13, 2020))]
            others = [o for o in others if o not in premise]
        if found and others:
            at = rng.choice(found)
            return sentence[: at.start()] + rng.choice(others) + sentence[at.end() :]
    return None


def _shorter(sentence: str, rng: random.Random) -> str:
    """The sentence, or it without what stands in brackets or after its last comma."""
    cut = re.sub(r" ?\([^)]*\)", "", sentence)
    head, comma, _ = cut.rpartition(",")
    if comma and len(head.split()) >= 6 and rng.random() < 0.5:
        return head + "."
    return cut
