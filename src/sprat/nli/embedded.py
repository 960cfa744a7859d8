"""The embedded inference model: decomposable attention over the embedded encoder's words; numpy alone.

Parikh et al., arXiv 1606.01933: attend (each word's counterpart in the other text), compare, aggregate. Beside the
paper's sums: a word is seen with its four neighbours and its marks, equal words and stems attend to each other, and
comparisons are pooled by mean and maximum. Trained by recipes/nli/train_nli.py; weights/README.md says on what, and
what it is worth. Checked against the network that was trained, and by hand (tests/nli/test_embedded.py).
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders.protocol import Rows
from ..errors import BadInput
from .protocol import Floats, Measured, Pair, Worth, check_pairs
from .words import MARKS, Page, Text, read

EMBEDDED = Path(__file__).parent / "weights" / "small.npz"
_PARTS = frozenset(
    {"bonus", "aligned.weight", "both.weight", "embed.weight"}
    | {f"{part}.{kind}" for part in ("around", "attend", "own", "hidden", "out") for kind in ("weight", "bias")}
)
_CELLS = 1 << 16  # of the attention matrices of one batch
_AT_ONCE = 4096  # pairs whose texts are read together


@dataclass(frozen=True, eq=False)
class _Weights:
    digest: str
    w: dict[str, Rows]


@dataclass(frozen=True, eq=False)
class _Encoded:
    """A text: word vectors and what the network makes of each word once, whatever stands on the other side."""

    text: Text
    raw: Rows
    hidden: Rows
    attends: Rows
    own: Rows


@lru_cache(maxsize=4)
def _load(path: Path) -> _Weights:
    try:
        raw = path.read_bytes()
        with np.load(BytesIO(raw), allow_pickle=False) as found:
            arrays = {k: found[k].astype(np.float32) for k in found.files if k != "about"}
        if not arrays.keys() >= _PARTS:
            raise KeyError(*_PARTS - arrays.keys())
    except FileNotFoundError as missing:
        raise BadInput(f"There are no inference weights at {path}.", hint="Reinstall sprat.") from missing
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as broken:
        raise BadInput(f"{path} is not a file of inference weights.", hint="Make one with the recipe.") from broken
    return _Weights(hashlib.sha256(raw).hexdigest()[:12], arrays)


@dataclass(frozen=True)
class SmallNli:
    """The embedded model, or other weights made by the recipe; BadInput where the file is not such."""

    weights: Path = field(default=EMBEDDED)

    @property
    def name(self) -> str:
        """`nli-small-` and the first twelve hexadecimal digits of the weights' SHA-256."""
        return f"nli-small-{_load(self.weights).digest}"

    @property
    def worth(self) -> Worth:
        """What was measured on pairs that it was not trained on; "unknown" for weights without a record."""
        record = self.weights.with_suffix(".json")
        if not record.is_file():
            return Worth("Nobody measured what these weights are worth.")
        told = json.loads(record.read_text(encoding="utf-8"))
        return Worth(told["said"], tuple(Measured(**m) for m in told["measured"]))

    def probabilities(self, pairs: Sequence[Pair]) -> Floats:
        """Probabilities (n, 3) of entailment, neutral, contradiction; BadInput where an item is not two texts."""
        asked = check_pairs(pairs)
        w = _load(self.weights).w
        out = np.zeros((len(asked), 3))
        for at in range(0, len(asked), _AT_ONCE):
            part = asked[at : at + _AT_ONCE]
            place = {t: i for i, t in enumerate(dict.fromkeys(t for pair in part for t in pair))}
            page = read(list(place))
            known = [_encode(t, page, w) for t in page.texts]
            sides = [(known[place[p]], known[place[h]]) for p, h in part]
            for batch in _batches(sides):
                out[[at + i for i in batch]] = _decide([sides[i] for i in batch], w)
        return out


def _relu(x: NDArray[Any]) -> Rows:
    return np.maximum(x, np.float32(0), dtype=np.float32)


def _encode(text: Text, page: Page, w: dict[str, Rows]) -> _Encoded:
    raw = page.vectors[text.forms]
    embedded = raw @ w["embed.weight"].T
    padded = np.pad(embedded, ((2, 2), (0, 0)))
    near = np.concatenate([*(padded[i : i + len(embedded)] for i in range(5)), text.marks], axis=1)
    hidden = embedded + _relu(near @ w["around.weight"].T + w["around.bias"])
    attends = _relu(hidden @ w["attend.weight"].T + w["attend.bias"])
    own = np.concatenate([hidden, text.marks], axis=1) @ w["own.weight"].T + w["own.bias"]
    return _Encoded(text, raw, hidden, attends, own)


def _batches(sides: list[tuple[_Encoded, _Encoded]]) -> Iterator[list[int]]:
    """Places of pairs of nearly one size, within a budget of cells with the padding."""
    size = [(len(p.raw), len(h.raw)) for p, h in sides]
    batch: list[int] = []
    long = wide = 0
    for i in sorted(range(len(sides)), key=lambda i: size[i]):
        longer, wider = max(long, size[i][0]), max(wide, size[i][1])
        if batch and (len(batch) + 1) * longer * wider > _CELLS:
            yield batch
            batch, longer, wider = [], *size[i]
        batch.append(i)
        long, wide = longer, wider
    if batch:
        yield batch


def _stack(rows: Sequence[NDArray[Any]], fill: float = 0) -> NDArray[Any]:
    out = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), fill, rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _decide(sides: list[tuple[_Encoded, _Encoded]], w: dict[str, Rows]) -> Floats:
    """The probabilities of pairs, padded to one shape."""
    p, h = ([pair[i] for pair in sides] for i in (0, 1))
    mask = [_stack([np.ones(len(e.raw), np.bool_) for e in side]) for side in (p, h)]
    same = _stack([e.text.forms for e in p], -1)[:, :, None] == _stack([e.text.forms for e in h], -2)[:, None, :]
    stem = _stack([e.text.stems for e in p], -1)[:, :, None] == _stack([e.text.stems for e in h], -2)[:, None, :]
    cosine = _stack([e.raw for e in p]) @ _stack([e.raw for e in h]).swapaxes(1, 2)
    scores = _stack([e.attends for e in p]) @ _stack([e.attends for e in h]).swapaxes(1, 2)
    scores = scores / np.float32(len(w["attend.bias"]) ** 0.5) + w["bonus"][0] * same + w["bonus"][1] * stem
    relations = (same, stem, cosine)
    turned = tuple(r.swapaxes(1, 2) for r in relations)
    found = [
        *_compare(h, p, mask[1], mask[0], scores.swapaxes(1, 2), turned, w),
        *_compare(p, h, mask[0], mask[1], scores, relations, w),
    ]
    lengths = np.log(np.stack([m.sum(axis=1) for m in mask], axis=1)).astype(np.float32)
    hidden = _relu(np.concatenate([*found, lengths], axis=1) @ w["hidden.weight"].T + w["hidden.bias"])
    logits = (hidden @ w["out.weight"].T + w["out.bias"]).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def _compare(
    side: list[_Encoded], other: list[_Encoded], mask: NDArray[np.bool_], other_mask: NDArray[np.bool_],
    scores: Rows, relations: Sequence[NDArray[Any]], w: dict[str, Rows],
) -> tuple[Rows, Rows]:  # fmt: skip
    """Each word of a side beside its counterpart in the other: the mean and the largest comparison, (n, wide) each."""
    seen = other_mask[:, None, :]
    weight = np.exp(np.where(seen, scores - np.where(seen, scores, -np.inf).max(axis=2, keepdims=True), -np.inf))
    weight /= weight.sum(axis=2, keepdims=True)
    counterpart = weight @ _stack([np.concatenate([e.hidden, e.text.marks], axis=1) for e in other])
    theirs = counterpart[:, :, : counterpart.shape[2] - MARKS]
    mine = _stack([e.hidden for e in side])
    best = [np.where(seen, r, np.float32(-1)).max(axis=2) for r in relations]
    beside = np.concatenate(
        [mine * theirs, np.abs(mine - theirs), np.stack([*best, weight.max(axis=2)], axis=2)], axis=2
    )
    own = _stack([e.own for e in side])
    found = _relu(own + counterpart @ w["aligned.weight"].T + beside @ w["both.weight"].T) * mask[:, :, None]
    return found.sum(axis=1) / mask.sum(axis=1, keepdims=True), found.max(axis=1)


def small() -> SmallNli:
    """The embedded model: weak beside a cross-encoder from the hub; `small().worth` says how weak."""
    return SmallNli()
