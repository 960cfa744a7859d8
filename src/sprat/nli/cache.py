"""Probabilities kept between calls and processes, by content: a pair that a model has judged is not judged again.

The key is SHA-256 over the model's name (its weights' digest) and both texts; the file is encoders/store.py's. It pays
for models from the hub; the embedded one is about as quick as the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..encoders.store import Store, cache_folder, keys_of
from .protocol import Floats, Nli, Pair, Worth, check_pairs

_ROW = 24  # three float64


@dataclass(frozen=True)
class CachedNli:
    """A model that looks up what it has judged before; the file holds `limit` bytes, about, at most."""

    nli: Nli
    path: Path
    limit: int = 1 << 30

    @property
    def name(self) -> str:
        """The model's own name: what comes from the cache is the same to the bit."""
        return self.nli.name

    @property
    def worth(self) -> Worth:
        """The model's own."""
        return self.nli.worth

    def probabilities(self, pairs: Sequence[Pair]) -> Floats:
        """Probabilities (n, 3), each pair judged once; BadInput where the file cannot be used."""
        asked = check_pairs(pairs)
        if not asked:
            return np.zeros((0, 3))
        # The premise's length says where it ends: no two pairs are written alike.
        keys = keys_of(self.name, (f"{len(p)} {p}{h}" for p, h in asked))
        wanted = dict(zip(keys, asked, strict=True))
        store = Store(self.path, "The cache of inference", self.limit)
        known = {key: row for key, row in store.get(list(wanted)).items() if len(row) == _ROW}
        if missing := {key: pair for key, pair in wanted.items() if key not in known}:
            found = np.ascontiguousarray(self.nli.probabilities(list(missing.values())), "<f8")
            fresh = {key: row.tobytes() for key, row in zip(missing, found, strict=True)}
            store.put(fresh)
            known |= fresh
        return np.frombuffer(b"".join(known[k] for k in keys), "<f8").reshape(-1, 3).astype(np.float64)


def cached(nli: Nli, path: Path | None = None, *, limit: int = 1 << 30) -> CachedNli:
    """Wraps a model; rows go to `path`, or to `nli.sqlite` in the cache folder."""
    return CachedNli(nli, path or cache_folder() / "nli.sqlite", limit)
