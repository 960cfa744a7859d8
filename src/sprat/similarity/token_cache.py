"""Token vectors kept between calls and processes, by content: in memory, and on disk in a bounded file.

The key is SHA-256 over the encoder's name (its files' digest and layer) and the text; the file is encoders/store.py's.
Checked with concurrent writers and a full file (tests/similarity/test_token_cache.py).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..encoders.protocol import check_texts
from ..encoders.store import Store, cache_folder, keys_of
from ..errors import BadInput
from .token_vectors import TokenEncoder, Tokens

_MEMORY = 512 << 20
_PER_TOKEN = 5  # bytes beside the vector: the id, and whether it is plain


class _Memory:
    """The process's own rows, the latest used last; at most `limit` bytes of vectors."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self.rows: OrderedDict[bytes, Tokens] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: bytes) -> Tokens | None:
        with self.lock:
            if key in self.rows:
                self.rows.move_to_end(key)
            return self.rows.get(key)

    def put(self, key: bytes, row: Tokens) -> None:
        with self.lock:
            if key not in self.rows:
                self.rows[key] = row
                self.held += row.vectors.nbytes
            while self.held > self.limit and len(self.rows) > 1:
                self.held -= self.rows.popitem(last=False)[1].vectors.nbytes


_memory = _Memory(_MEMORY)


def forget() -> None:
    """Empty the process's own memory; the file stays."""
    with _memory.lock:
        _memory.rows.clear()
        _memory.held = 0


@dataclass(frozen=True)
class CachedTokens:
    """A token encoder that looks up what it has read before; the file holds `limit` bytes, about, at most."""

    encoder: TokenEncoder
    path: Path
    limit: int = 2 << 30

    @property
    def name(self) -> str:
        """The encoder's own name: what comes from the cache is the same to the bit."""
        return self.encoder.name

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Where each token stands in the text."""
        return self.encoder.pieces(text)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text, in order; BadInput where the file cannot be used."""
        found = check_texts(texts)
        keys = keys_of(self.name, found)
        wanted = dict(zip(keys, found, strict=True))
        known = {key: row for key in wanted if (row := _memory.get(key)) is not None}
        store = Store(self.path, "The cache of token vectors", self.limit)
        asked = [key for key in wanted if key not in known]
        if asked:
            known |= {key: tokens for key, row in store.get(asked).items() if (tokens := _tokens(row)) is not None}
        if missing := {key: text for key, text in wanted.items() if key not in known}:
            fresh = dict(zip(missing, self.encoder.tokens(list(missing.values())), strict=True))
            store.put({key: _row(tokens) for key, tokens in fresh.items()})
            known |= fresh
        for key in asked:
            _memory.put(key, known[key])
        return [known[key] for key in keys]


def _row(tokens: Tokens) -> bytes:
    """The count, then ids, flags and vectors."""
    parts = (np.array([len(tokens.ids)], "<i4"), *tokens)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def _tokens(row: bytes) -> Tokens | None:
    """What `_row` wrote; None for anything else, which counts as absent."""
    if len(row) < 4:
        return None
    n = int(np.frombuffer(row, "<i4", 1)[0])
    data = row[4:]
    wide = 0 if not n else (len(data) // n - _PER_TOKEN) // 4
    if n < 0 or len(data) != n * (_PER_TOKEN + 4 * wide):
        return None
    return Tokens(
        np.frombuffer(data, "<i4", n),
        np.frombuffer(data, np.bool_, n, 4 * n),
        np.frombuffer(data[_PER_TOKEN * n :], "<f4").reshape(n, wide),
    )


def cached(encoder: TokenEncoder, path: Path | None = None, *, limit: int = 2 << 30) -> CachedTokens:
    """Wraps a token encoder; rows go to `path`, or to `tokens.sqlite` in the cache folder, `limit` bytes at most."""
    if limit < 1:
        raise BadInput(f"A cache of {limit} bytes holds nothing.", hint="Give at least one megabyte.")
    return CachedTokens(encoder, path or cache_folder() / "tokens.sqlite", limit)
