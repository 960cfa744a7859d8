"""One cache on disk for the rows of all encoders: keyed by content, shared by processes (store.py).

The key is SHA-256 over encoder name, row type and text. Checked with concurrent writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sprat.encoders.protocol import Encoder, Rows, check_texts
from sprat.encoders.store import Store, cache_folder, keys_of


@dataclass(frozen=True)
class CachedEncoder:
    """An encoder that looks up what it has encoded before; with `half`, rows are kept as float16 (and rounded so)."""

    encoder: Encoder
    path: Path
    half: bool = False

    @property
    def name(self) -> str:
        """The encoder's own name, marked where rows are rounded."""
        return f"{self.encoder.name}-half" if self.half else self.encoder.name

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.encoder.dim

    def encode(self, texts: Sequence[str]) -> Rows:
        """Rows (n, dim), float32, the same bits on a hit as on the miss; BadInput where the file cannot be used."""
        found = check_texts(texts)
        dim, kind = self.dim, np.dtype("<f2" if self.half else "<f4")
        keys = keys_of(f"{self.name}\0{kind.str}\0{dim}", found)
        store = Store(self.path, "The encoder cache")
        # A row of another length was not written by this class: it counts as absent.
        held = store.get(list(dict.fromkeys(keys))) if keys else {}
        known = {k: row for k, row in held.items() if len(row) == dim * kind.itemsize}
        missing = {k: text for k, text in zip(keys, found, strict=True) if k not in known}
        if missing:
            fresh = self.encoder.encode(list(missing.values())).astype(kind)
            new = {k: row.tobytes() for k, row in zip(missing, fresh, strict=True)}
            store.put(new)
            known |= new
        rows = np.frombuffer(b"".join(known[k] for k in keys), kind).reshape(len(found), dim)
        return rows.astype(np.float32)


def cached(encoder: Encoder, path: Path | None = None, *, half: bool = False) -> CachedEncoder:
    """Wraps an encoder; rows go to `path`, or to `encoders.sqlite` in the cache folder. Pays for slow encoders only."""
    return CachedEncoder(encoder, path or cache_folder() / "encoders.sqlite", half)
