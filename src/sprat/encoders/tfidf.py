"""Hashed TF-IDF: words and neighbouring pairs of words, weighted by rarity, folded by signed hashing into a short row.

TF-IDF: Sparck Jones 1972; signed hashing: arXiv 0902.2206. Checked against a plain dictionary count in its tests.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sprat.encoders.protocol import Rows, check_texts, unit
from sprat.errors import BadInput

_WORD = re.compile(r"\w+|[^\w\s]")


def _flat(buckets: int) -> Rows:
    return np.ones(buckets, np.float32)


@dataclass(frozen=True, eq=False)
class TfidfEncoder:
    """Rows of length `dim`; `rarity` (buckets,) is the weight of each hashed word, one until fitted."""

    dim: int = 1024
    buckets: int = 1 << 15
    rarity: Rows = field(default_factory=lambda: _flat(1 << 15), repr=False)

    def __post_init__(self) -> None:
        if self.dim < 1 or self.buckets < self.dim:
            raise BadInput(f"dim {self.dim} must be at least 1 and at most buckets, {self.buckets}.")
        if self.rarity.shape != (self.buckets,):
            if not np.all(self.rarity == 1.0):
                raise BadInput(f"rarity has shape {self.rarity.shape}; it needs ({self.buckets},).")
            object.__setattr__(self, "rarity", _flat(self.buckets))

    @property
    def name(self) -> str:
        """Width and a digest of the fitted weights."""
        digest = hashlib.sha256(self.rarity.astype("<f4").tobytes()).hexdigest()[:12]
        return f"tfidf-{self.dim}-{self.buckets}-{digest}"

    def encode(self, texts: Sequence[str]) -> Rows:
        """Unit rows (n, dim), float32; a text without words has the first axis; BadInput where an item is not a str."""
        found = check_texts(texts)
        out = np.zeros((len(found), self.dim), np.float32)
        for i, text in enumerate(found):
            counts = Counter(_hashes(text))
            if not counts:
                continue
            # Sorted, so that sums do not depend on the order in which words came.
            hashed = np.array(sorted(counts), np.int64)
            seen = np.array([counts[h] for h in hashed.tolist()], np.float64)
            value = (1.0 + np.log(seen)) * self.rarity[hashed % self.buckets]
            sign = 1.0 - 2.0 * ((hashed >> 31) & 1)
            out[i] = np.bincount((hashed >> 5) % self.dim, value * sign, self.dim)
        return unit(out)


def fit(encoder: TfidfEncoder, texts: Sequence[str]) -> TfidfEncoder:
    """A new encoder whose weights are log((1 + n) / (1 + texts with the word)) + 1; BadInput for no texts."""
    found = check_texts(texts)
    if not found:
        raise BadInput("TF-IDF was fitted on no texts.", hint="Give at least one; some hundreds make sense.")
    having = np.zeros(encoder.buckets, np.int64)
    for text in found:
        having[np.unique(np.array(_hashes(text), np.int64) % encoder.buckets)] += 1
    rarity = np.log((1.0 + len(found)) / (1.0 + having)) + 1.0
    return replace(encoder, rarity=rarity.astype(np.float32))


def save(encoder: TfidfEncoder, path: Path) -> None:
    """Writes the fitted weights as .npz, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, dim=np.int64(encoder.dim), rarity=encoder.rarity)
    partial.replace(path)


def load(path: Path) -> TfidfEncoder:
    """Reads what `save` wrote; BadInput where the file is not such."""
    try:
        with np.load(path, allow_pickle=False) as found:
            rarity = found["rarity"].astype(np.float32)
            return TfidfEncoder(dim=int(found["dim"]), buckets=len(rarity), rarity=rarity)
    except (OSError, KeyError, ValueError, TypeError) as broken:
        raise BadInput(f"{path} is not a saved TF-IDF encoder.", hint="Write one with sprat.encoders.save.") from broken


def _hashes(text: str) -> list[int]:
    words = _WORD.findall(text.lower())
    codes = [zlib.crc32(w.encode("utf-8", "surrogatepass")) for w in words]
    pairs = [zlib.crc32(b.to_bytes(4, "little"), a) for a, b in itertools.pairwise(codes)]
    return codes + pairs
