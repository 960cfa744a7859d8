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
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sprat.encoders.static import token_table

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
    told = list(answered(rows, like_names(texts_of(root)), seed))
    return [*rows, *told, *random.Random(seed).sample(made, min(EDITED, len(made)))]


_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w])")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")
_VERB = re.compile(
    r"\b(is|are|was|were|has|have|had|can|could|will|would|should|must|may|does|did)\b(?! not|n't| no\b)"
)
_NOT = re.compile(r"(?<=\w)(?: not\b|n't\b)")


def texts_of(root: Path) -> list[str]:
    """Public texts whose sentences are edited."""
    out: list[str] = []
    for path, field in (("text_domains/wikitext2_valid", "text"), ("text_domains/web_noisy_ewt", "text"),
                        ("text_domains/speeches_us_presidents", "text"), ("dolly_3k/dolly", "input")):  # fmt: skip
        for file in root.glob(f"{path}*.gz"):
            out += [str(r.get(field) or "") for r in _rows(file)]
    plain = [re.sub(r" @(\W)@ ", r"\1", text) for text in out]
    return [re.sub(r" ([,.;:!?)])", r"\1", re.sub(r"\s+", " ", text)) for text in plain]


def edited(root: Path, seed: int) -> Iterator[Row]:
    """Sentences of public texts with themselves, made false, and with one from elsewhere, as FactCC makes its data.

    arXiv 1910.12840. A number or a name is replaced, by another of the same text or a like one, that the premise has
    not; a verb is negated, or a negation dropped. Words are left out of a claim that stays true. The premise is the
    sentence alone, or up to four of its text in a row.
    """
    rng = random.Random(seed)
    texts = texts_of(root)
    like = like_names(texts)
    for text in texts:
        said = [s for s in re.split(r"(?<=[.!?])\s+(?=[A-Z])", text) if 8 <= len(s.split()) <= 45 and "<unk>" not in s]
        for at, sentence in enumerate(said):
            if rng.random() > 40 / len(said):
                continue
            near = said[max(0, at - rng.randint(0, 2)) : at + 1 + rng.randint(0, 1)]
            premise = sentence if rng.random() < 0.5 else " ".join(near)
            if (false := _false(sentence, premise, text, like, rng)) is None:
                continue
            other = said[rng.randrange(len(said))]
            yield Row(premise, false, 2, 1.0, "edited")
            yield Row(premise, _shorter(sentence, rng), 0, 1.0, "edited")
            if rng.random() < 0.3 and other not in premise:
                yield Row(premise, other, 1, 1.0, "edited")


def like_names(texts: list[str]) -> dict[str, list[str]]:
    """Names that the embedded encoder knows, each with those nearest to it."""
    splitter, table = token_table()
    place = {piece: i for i, piece in enumerate(splitter.vocabulary)}
    count = Counter(m for text in texts for m in re.findall(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b", text))
    names = [n for n, c in count.items() if c >= 2 and n.lower() in place]
    rows = table[[place[n.lower()] for n in names]]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    out: dict[str, list[str]] = {}
    for i, name in enumerate(names):
        cosine = rows @ rows[i]
        best = [names[j] for j in np.argsort(-cosine)[1:16] if cosine[j] < 0.9]
        out[name] = [o for o in best if o[:4].lower() != name[:4].lower()]
    return out


def _false(sentence: str, premise: str, text: str, like: dict[str, list[str]], rng: random.Random) -> str | None:
    ways = ["number", "name", "name", "negation"]
    rng.shuffle(ways)
    for way in ways:
        if way == "negation":
            if dropped := list(_NOT.finditer(sentence)):
                at = rng.choice(dropped)
                return sentence[: at.start()] + sentence[at.end() :]
            if found := list(_VERB.finditer(sentence)):
                at = rng.choice(found).end()
                return f"{sentence[:at]} not{sentence[at:]}"
            continue
        pattern = _NUMBER if way == "number" else _NAME
        found = list(pattern.finditer(sentence))
        if not found:
            continue
        at = rng.choice(found)
        there = {m[0] for m in pattern.finditer(premise)}
        others = sorted({m[0] for m in pattern.finditer(text)} - there)
        if way == "number":
            others += [str(rng.randint(2, 12)), str(rng.randint(13, 2020))]
        elif at[0] in like and rng.random() < 0.6:
            others = like[at[0]]
        others = [o for o in others if o not in premise]
        if others:
            return sentence[: at.start()] + rng.choice(others) + sentence[at.end() :]
    return None


def _shorter(sentence: str, rng: random.Random) -> str:
    """The sentence, or it without what stands in brackets or after its last comma."""
    cut = re.sub(r" ?\([^)]*\)", "", sentence)
    head, comma, _ = cut.rpartition(",")
    if comma and len(head.split()) >= 6 and rng.random() < 0.5:
        return head + "."
    return cut


def answered(rows: list[Row], like: dict[str, list[str]], seed: int, most: int = 2_000) -> Iterator[Row]:
    """A question with an answer, and with the same answer said otherwise or another: what draws of a model look like.

    Questions and names are those of QNLI rows to learn from; whether the answer is right does not matter.
    """
    rng = random.Random(seed)
    made = 0
    for row in rows:
        found = [m[0] for p in (_NAME, _NUMBER) for m in p.finditer(row.premise)]
        if row.source != "qnli" or row.label != 0 or not found or made >= most:
            continue
        answer, question = rng.choice(found), row.hypothesis
        number = answer[0].isdigit()
        others = [str(rng.randint(2, 2020))] if number else like.get(answer, []) or [o for o in found if o != answer]
        others = [o for o in others if o not in f"{question} {answer}"]
        form = rng.choice(("{}", "{}.", "It is {}.", "The answer is {}.", "it was {}", "{}, I think."))
        yield Row(f"{question} {answer}", f"{question} {form.format(answer)}", 0, 1.0, "answered")
        if others:
            yield Row(f"{question} {answer}", f"{question} {form.format(rng.choice(others))}", 3, 1.0, "answered")
        made += 1
