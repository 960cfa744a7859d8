"""Token vectors kept between calls and processes, by content: in memory, and on disk in a bounded SQLite file.

The key is SHA-256 over the encoder's name (its files' digest and layer) and the text, so no text is stored, and an
encoder that changed finds nothing. A row is written whole or not at all; over the limit, those go that were not used
for longest. Checked with concurrent writers and a full file (tests/similarity/test_token_cache.py).
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..encoders.cache import cache_folder
from ..encoders.protocol import check_texts
from ..errors import BadInput
from .token_vectors import TokenEncoder, Tokens

_WAIT_SECONDS = 60.0
_VARIABLES = 500
_STALE_SECONDS = 3600
_MEMORY = 512 << 20
_PER_TOKEN = 5  # bytes beside the vector: the id, and whether it is plain
_TABLE = """CREATE TABLE IF NOT EXISTS texts
(key BLOB PRIMARY KEY, n INTEGER NOT NULL, bytes BLOB NOT NULL, used INTEGER NOT NULL)"""


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
        start = hashlib.sha256(f"{self.name}\0".encode())
        keys: list[bytes] = []
        for text in found:
            digest = start.copy()
            digest.update(text.encode("utf-8", "surrogatepass"))
            keys.append(digest.digest())
        wanted = dict(zip(keys, found, strict=True))
        known = {key: row for key in wanted if (row := _memory.get(key)) is not None}
        if asked := [key for key in wanted if key not in known]:
            with _open(self.path) as db:
                known |= _look_up(db, asked)
        if missing := {key: text for key, text in wanted.items() if key not in known}:
            fresh = dict(zip(missing, self.encoder.tokens(list(missing.values())), strict=True))
            with _open(self.path) as db, db:
                _keep(db, fresh, self.limit)
            known |= fresh
        for key in asked:
            _memory.put(key, known[key])
        return [known[key] for key in keys]


@contextmanager
def _open(path: Path) -> Generator[sqlite3.Connection]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One connection per call: nothing is shared between threads, or between a process and its fork.
        with closing(sqlite3.connect(path, timeout=_WAIT_SECONDS)) as db:
            db.execute("PRAGMA page_size = 16384")  # rows are some tens of kilobytes
            db.execute(_TABLE)
            yield db
    except (sqlite3.Error, OSError) as broken:
        hint = "Remove the file, or set SPRAT_CACHE to a folder that can be written."
        raise BadInput(f"The cache of token vectors {path} cannot be used: {broken}.", hint=hint) from broken


def _look_up(db: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, Tokens]:
    now, known, stale = int(time.time()), dict[bytes, Tokens](), list[tuple[int, bytes]]()
    for at in range(0, len(keys), _VARIABLES):
        part = keys[at : at + _VARIABLES]
        rows = db.execute(f"SELECT key, n, bytes, used FROM texts WHERE key IN ({','.join('?' * len(part))})", part)
        for key, n, data, used in rows:
            wide = 0 if not n else (len(data) // n - _PER_TOKEN) // 4
            if len(data) != n * (_PER_TOKEN + 4 * wide):
                continue  # not written by this class: it counts as absent
            known[key] = Tokens(
                np.frombuffer(data, "<i4", n),
                np.frombuffer(data, np.bool_, n, 4 * n),
                np.frombuffer(data[_PER_TOKEN * n :], "<f4").reshape(n, wide),
            )
            if now - used > _STALE_SECONDS:
                stale.append((now, key))
    if stale:
        with db:
            db.executemany("UPDATE texts SET used = ? WHERE key = ?", stale)
    return known


def _keep(db: sqlite3.Connection, fresh: dict[bytes, Tokens], limit: int) -> None:
    now = int(time.time())
    rows = (
        (key, len(t.ids), b"".join(np.ascontiguousarray(part).tobytes() for part in t), now)
        for key, t in fresh.items()
    )  # fmt: skip
    db.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)", rows)

    def held() -> int:
        pages = db.execute("SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count")
        return int(pages.fetchone()[0]) * int(db.execute("PRAGMA page_size").fetchone()[0])

    while held() > limit:  # the pages that become free are written again, so the file stops growing
        drop = "DELETE FROM texts WHERE rowid IN (SELECT rowid FROM texts ORDER BY used, rowid LIMIT max(1, ?))"
        count = int(db.execute("SELECT count(*) FROM texts").fetchone()[0])
        if not count:
            return
        db.execute(drop, (count // 8,))


def cached(encoder: TokenEncoder, path: Path | None = None, *, limit: int = 2 << 30) -> CachedTokens:
    """Wraps a token encoder; rows go to `path`, or to `tokens.sqlite` in the cache folder, `limit` bytes at most."""
    if limit < 1:
        raise BadInput(f"A cache of {limit} bytes holds nothing.", hint="Give at least one megabyte.")
    return CachedTokens(encoder, path or cache_folder() / "tokens.sqlite", limit)
