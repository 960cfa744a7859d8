"""Trains the tagger of private information on microsoft/presidio-research's 1,500 made-up sentences (MIT).

Ordinary instructions and answers (`sets.ordinary`) are beside them, so that not everything with a capital is a name.
Of a quarter of these (`TEACH`) the tagger learns that none of their words is private; which of the other tags they have
is left open. A quarter (`CALIBRATE`) is safe for the curve, half (`TEST`) is only measured. Some do name somebody, in
an encyclopaedia's way: that counts as safe here.

    python recipes/safety/pii.py --data $SPRAT_DATA --out src/sprat/safety/weights/pii.npz

What is shipped learnt all rows. Its curve and its worth come from five folds by template: no sentence is measured by a
tagger that saw its template. Each taught row is there twice, once with other values of the same kinds.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from crf import UNTOLD, Sequence_, learnt
from learn import curve
from sets import Row, ordinary, part

from sprat.safety.patterns import patterns
from sprat.safety.private import FORMED, LEARNT, PRIVATE, SURE, Pii
from sprat.safety.tagger import Chain, features, tokens, vectors

BUCKETS, STRENGTH, STEPS, FOLDS, COPIES, SEED = 1 << 14, 1.0, 60, 5, 1, 0
TEACH, CALIBRATE, TEST = (0,), (1,), (2, 3)  # of four parts of the ordinary texts
FIRST = 30  # words of an ordinary text that teach
Spans = list[tuple[int, int, str]]


class Sentence(NamedTuple):
    """A text, its spans (start, end, kind), and its template."""

    text: str
    spans: Spans
    template: str


def sentences(data: Path) -> list[Sentence]:
    """The rows; a domain name is a URL here."""
    with gzip.open(data / "pii" / "synth_dataset_v2.json.gz", "rt", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = json.load(file)
    made = list[Sentence]()
    for r in rows:
        spans = [
            (s["start_position"], s["end_position"], s["entity_type"].replace("DOMAIN_NAME", "URL")) for s in r["spans"]
        ]
        made.append(Sentence(r["full_text"], sorted(spans), str(r["template_id"])))
    return made


def private(row: Sentence) -> bool:
    """Whether it holds any of the kinds that count unless others are asked for, or a driver's licence (never found)."""
    return any(kind in (*PRIVATE, "US_DRIVER_LICENSE") for _, _, kind in row.spans)


def swapped(row: Sentence, values: dict[str, list[str]], rng: np.random.Generator) -> Sentence:
    """The row with another value of the same kind in place of each."""
    text, spans, at = "", Spans(), 0
    for start, end, kind in row.spans:
        new = values[kind][int(rng.integers(len(values[kind])))]
        text += row.text[at:start]
        spans.append((len(text), len(text) + len(new), kind))
        text, at = text + new, end
    return Sentence(text + row.text[at:], spans, row.template)


def sequence(row: Sentence) -> Sequence_:
    """A row as the tagger learns it."""
    read = tokens(row.text, list(patterns(row.text)), FORMED)
    tags = [0] * len(read)
    for start, end, kind in row.spans:
        within = [i for i, t in enumerate(read) if start <= t.start and t.end <= end]
        if kind in LEARNT:
            for i in within:
                tags[i] = 1 + 2 * LEARNT.index(kind) + (i != within[0])
    return Sequence_(features(read, row.text, BUCKETS), vectors(read), tags)


def plain(data: Path, parts: Sequence[int]) -> list[Row]:
    """The ordinary texts of these parts of four."""
    return [r for r in ordinary(data) if part(r.unit, 4) in parts]


def untold(text: str) -> Sequence_:
    """The first words of an ordinary text."""
    read = tokens(text, list(patterns(text)), FORMED)[:FIRST]
    return Sequence_(features(read, text, BUCKETS), vectors(read), [UNTOLD] * len(read))


def taught(rows: Sequence[Sentence], others: Sequence[Row], seed: int = SEED) -> Chain:
    """The tagger that learnt these rows, and ordinary ones; its numbers are rounded as they are shipped."""
    rng = np.random.default_rng(seed)
    values: dict[str, list[str]] = {}
    for row in rows:
        for start, end, kind in row.spans:
            values.setdefault(kind, []).append(row.text[start:end])
    more = [swapped(r, values, rng) for _ in range(COPIES) for r in rows]
    found = [*(sequence(r) for r in (*rows, *more)), *(untold(r.text) for r in others)]
    harmless = np.array([True, *(k not in PRIVATE for k in LEARNT for _ in "BI")])
    table, dense, steps, starts = learnt(found, len(LEARNT), BUCKETS, STRENGTH, STEPS, harmless)
    kept, scale = whole(table)
    small, size = whole(dense)
    return Chain(LEARNT, kept * np.float32(scale), small * np.float32(size), steps, starts, np.array([1.0, 0.0]),
                 {"scales": (scale, size), "whole": (kept, small)})  # fmt: skip


def whole(found: np.ndarray) -> tuple[np.ndarray, float]:
    """As int8, and what one step is."""
    scale = float(np.quantile(np.abs(found[found != 0]), 0.9999)) / 127
    return np.clip(np.round(found / scale), -127, 127).astype(np.int8), scale


def raw(chain: Chain, texts: Sequence[str]) -> list[list[float]]:
    """Of each text: its likeliest private span, or word where it has no span, before calibration, and which it is."""
    return [[*found] for found in (Pii().raw(chain, t) for t in texts)]


def crossed(
    rows: Sequence[Sentence], others: Sequence[Row], work: Path | None = None
) -> tuple[np.ndarray, list[Spans], np.ndarray]:
    """Each row's `raw` (n, 2) and spans by a tagger that saw no row of its template, and its fold; kept in `work`."""
    fold = np.array([part(f"template {r.template}", FOLDS) for r in rows])
    p, spans = np.empty((len(rows), 2)), [Spans() for _ in rows]
    for f in range(FOLDS):
        out = np.flatnonzero(fold == f).tolist()
        kept = work / f"pii-fold-{f}.json" if work is not None else None
        if kept is not None and kept.exists():
            held = json.loads(kept.read_text())
        else:
            chain = taught([r for r, k in zip(rows, fold, strict=True) if k != f], others)
            judge = Pii((*FORMED, *LEARNT))
            held = {
                "p": raw(chain, [rows[i].text for i in out]),
                "spans": [[[s.start, s.end, s.kind] for s in judge.tagged(chain, rows[i].text)] for i in out],
            }
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(held))
        p[out] = held["p"]
        for i, found in zip(out, held["spans"], strict=True):
            spans[i] = [(a, b, k) for a, b, k in found]
        print("fold", f, len(out), flush=True)
    return p, spans, fold


def on_logit(p: np.ndarray) -> np.ndarray:
    """The logit, and 1, as the curve reads them (with a column of 0 for windows): (n, 3)."""
    held = np.clip(p, 1e-9, 1 - 1e-9)
    return np.column_stack([np.log(held) - np.log1p(-held), np.zeros(len(p)), np.ones(len(p))])


def bent(raw: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The curve (3,) of what the tagger says; what has a form is left as it is."""
    learned = raw != SURE
    return curve(on_logit(raw[learned]), y[learned])


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="keeps what the folds found, to go on from")
    told = parser.parse_args()
    rows = sentences(told.data)
    y = np.array([private(r) for r in rows], float)
    others, safe = plain(told.data, TEACH), plain(told.data, CALIBRATE)
    p, _, _ = crossed(rows, others, told.work)
    chain = taught(rows, others)
    q = np.array(raw(chain, [r.text for r in safe]))
    seen, z = np.concatenate([p, q]), np.concatenate([y, np.zeros(len(q))])
    slope, _, height = bent(seen[:, 0], z)
    kept, small = chain.about["whole"]
    scales = chain.about["scales"]
    about = {"kinds": LEARNT, "strength": STRENGTH, "steps": STEPS, "rows": len(rows), "ordinary": len(others),
             "calibrated": len(z), "rate": float(z.mean())}  # fmt: skip
    with told.out.open("wb") as file:
        np.savez_compressed(
            file, table=kept, table_scale=np.float64(scales[0]), dense=small, dense_scale=np.float64(scales[1]),
            steps=chain.steps, starts=chain.starts, curve=np.array([slope, height]),
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        )  # fmt: skip
    print(slope, height, about, told.out.stat().st_size)


if __name__ == "__main__":
    main()
